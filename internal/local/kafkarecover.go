package local

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// recoverLog brings the files of a kfake that was killed into a state from which it starts with what it had
// acknowledged, no more and no less. It runs at every start, so that a start after a kill and one after a Close are the
// same thing. By itself kfake would, after a kill (v0.0.0-20260918054303-01f206a7e32c):
//
//   - take a batch whose index entry was not written for one outside any transaction, and every later batch of the file
//     for the one before it: so both files are cut to what both hold (persist.go, persistBatchToSegment);
//   - keep the end of a log that was cut short, and lose at the next start what it had appended after it: so logs are
//     cut to whole entries (persist.go, loadPIDsLog);
//   - forget the half of a commit whose markers were written to some of its partitions only: so they are written to the
//     rest (txns.go, endTx);
//   - abort open transactions in memory alone, and take their records as committed when the same producer has committed
//     another transaction: so abort markers are written (persist.go, loadPartitionFullReplay).
//
// Files that a Close leaves behind say again what the logs say. They would be believed after a later kill, when they are
// out of date, and are removed.
func recoverLog(ctx context.Context, dir string, log *slog.Logger) error {
	for _, name := range []string{"session_state.json", "seq_windows.json"} {
		if err := remove(filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	for _, name := range []string{"pids.log", "groups.log"} {
		if err := cutStateLog(filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	dirs, err := filepath.Glob(filepath.Join(dir, "partitions", "*"))
	if err != nil {
		return err
	}
	var parts []*partition
	committed := map[txn]bool{}
	for _, d := range dirs {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := remove(filepath.Join(d, "snapshot.json")); err != nil {
			return err
		}
		p := &partition{dir: d, log: log, open: map[int64]txn{}, committed: committed}
		if err := p.read(); err != nil {
			return err
		}
		parts = append(parts, p)
	}
	for _, p := range parts {
		for _, t := range slices.SortedFunc(maps.Values(p.open), func(a, b txn) int { return cmp.Compare(a.producer, b.producer) }) {
			if err := p.end(t, committed[t]); err != nil {
				return err
			}
			log.Debug("embedded kafka: a transaction was open when the process ended", "partition", filepath.Base(p.dir), "committed", committed[t])
		}
	}
	return nil
}

func remove(path string) error {
	if err := os.Remove(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// txn identifies a transaction: a producer's epoch goes up with each of them (KIP-890).
type txn struct {
	producer int64
	epoch    int16
}

// partition is one directory of segments, FIRSTOFFSET.dat with batches and FIRSTOFFSET.idx with an entry for each.
type partition struct {
	dir       string
	log       *slog.Logger
	open      map[int64]txn // by producer: its transaction that has no marker yet
	committed map[txn]bool  // transactions with a commit marker, in any partition
	last      int64         // first offset of the last segment
	next      int64         // offset of the next record
	epoch     []byte        // leader epoch of the last index entry, as the index has it
}

const (
	indexEntry   = 15 // version, checksum, leader epoch, a timestamp that kfake works out again, 1 if in a transaction
	batchHeader  = 61 // Kafka's record batch v2, up to its records
	isTxn        = 0x10
	isControl    = 0x20
	maxBatchSize = 1 << 30

	maxStateEntry = 64 << 10 // more than that behind the last whole entry was not cut short by a kill
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func (p *partition) read() error {
	files, err := filepath.Glob(filepath.Join(p.dir, "*.dat"))
	if err != nil {
		return err
	}
	var bases []int64
	for _, f := range files {
		base, err := strconv.ParseInt(strings.TrimSuffix(filepath.Base(f), ".dat"), 10, 64)
		if err != nil {
			return fmt.Errorf("%s is not a segment", f)
		}
		bases = append(bases, base)
	}
	slices.Sort(bases)
	p.epoch = make([]byte, 4)
	for _, base := range bases {
		if err := p.readSegment(base); err != nil {
			return err
		}
	}
	return nil
}

// path returns the name of a segment's file.
func (p *partition) path(base int64, ext string) string {
	return filepath.Join(p.dir, strconv.FormatInt(base, 10)+ext)
}

// readSegment follows the transactions through a segment, and cuts both of its files to the batches that both hold.
func (p *partition) readSegment(base int64) error {
	p.last = base
	p.next = max(p.next, base)
	idx, err := os.ReadFile(p.path(base, ".idx"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := os.OpenFile(p.path(base, ".dat"), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	size, pos, n := info.Size(), int64(0), 0
	var b []byte
	for ; (n+1)*indexEntry <= len(idx); n++ {
		if b, err = readBatch(f, b, pos, size); err != nil {
			return err
		}
		entry := idx[n*indexEntry : (n+1)*indexEntry]
		if b == nil || byte(crc32.Checksum(entry[2:], castagnoli)) != entry[1] {
			break
		}
		p.follow(b)
		copy(p.epoch, entry[2:6])
		pos += int64(len(b))
	}
	if pos < size {
		if err := f.Truncate(pos); err != nil {
			return err
		}
	}
	if n*indexEntry < len(idx) {
		if len(idx) >= (n+1)*indexEntry { // the batch is written first: a kill leaves no entry without one
			p.log.Warn("embedded kafka: records are lost: a file is damaged, as by a loss of power",
				"file", p.path(base, ".dat"), "kept_bytes", pos, "lost_batches", len(idx)/indexEntry-n)
		}
		return os.Truncate(p.path(base, ".idx"), int64(n*indexEntry))
	}
	return nil
}

// readBatch reads the batch at pos into buf. It returns nil where no whole batch follows.
func readBatch(f *os.File, buf []byte, pos, size int64) ([]byte, error) {
	var head [12]byte
	if pos+batchHeader > size {
		return nil, nil
	}
	if _, err := f.ReadAt(head[:], pos); err != nil {
		return nil, err
	}
	n := 12 + int64(binary.BigEndian.Uint32(head[8:]))
	if n < batchHeader || n > maxBatchSize || pos+n > size {
		return nil, nil
	}
	buf = slices.Grow(buf[:0], int(n))[:n]
	if _, err := f.ReadAt(buf, pos); err != nil {
		return nil, err
	}
	if crc32.Checksum(buf[21:], castagnoli) != binary.BigEndian.Uint32(buf[17:]) {
		return nil, nil
	}
	return buf, nil
}

// follow notes what a batch says of its producer's transaction.
func (p *partition) follow(b []byte) {
	attributes := binary.BigEndian.Uint16(b[21:])
	t := txn{int64(binary.BigEndian.Uint64(b[43:])), int16(binary.BigEndian.Uint16(b[51:]))}
	p.next = int64(binary.BigEndian.Uint64(b)) + int64(binary.BigEndian.Uint32(b[23:])) + 1
	switch {
	case attributes&isControl != 0:
		delete(p.open, t.producer)
		if isCommit(b[batchHeader:]) {
			p.committed[t] = true
		}
	case attributes&isTxn != 0:
		p.open[t.producer] = t
	}
}

func isCommit(records []byte) bool {
	var r kmsg.Record
	var k kmsg.ControlRecordKey
	return r.ReadFrom(records) == nil && k.ReadFrom(r.Key) == nil && k.Type == kmsg.ControlRecordKeyTypeCommit
}

// end appends the marker that ends a transaction, first the batch and then its index entry, as kfake does: a kill in
// between is mended like any other.
func (p *partition) end(t txn, commit bool) error {
	b := marker(t, commit, p.next, int32(binary.LittleEndian.Uint32(p.epoch)))
	entry := make([]byte, indexEntry)
	entry[0] = 1
	copy(entry[2:6], p.epoch)
	entry[1] = byte(crc32.Checksum(entry[2:], castagnoli))
	p.next++
	return errors.Join(appendTo(p.path(p.last, ".dat"), b), appendTo(p.path(p.last, ".idx"), entry))
}

// marker encodes the control batch that ends a transaction (KIP-98, "Control Messages").
func marker(t txn, commit bool, offset int64, leaderEpoch int32) []byte {
	key := kmsg.ControlRecordKey{Type: kmsg.ControlRecordKeyTypeAbort}
	if commit {
		key.Type = kmsg.ControlRecordKeyTypeCommit
	}
	rec := kmsg.Record{Key: key.AppendTo(nil), Value: new(kmsg.EndTxnMarker).AppendTo(nil)}
	rec.Length = int32(len(rec.AppendTo(nil)) - 1) // the length does not count itself: one byte
	now := time.Now().UnixMilli()
	b := kmsg.RecordBatch{
		FirstOffset: offset, PartitionLeaderEpoch: leaderEpoch, Magic: 2, Attributes: isTxn | isControl,
		FirstTimestamp: now, MaxTimestamp: now, ProducerID: t.producer, ProducerEpoch: t.epoch,
		FirstSequence: -1, NumRecords: 1, Records: rec.AppendTo(nil),
	}
	text := b.AppendTo(nil)
	binary.BigEndian.PutUint32(text[8:], uint32(len(text)-12))
	binary.BigEndian.PutUint32(text[17:], crc32.Checksum(text[21:], castagnoli))
	return text
}

func appendTo(path string, b []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	return errors.Join(err, f.Close())
}

// cutStateLog cuts a log of kfake's state to its whole entries: length of what follows the checksum, checksum, entry.
func cutStateLog(path string) error {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	rest := text
	for len(rest) >= 8 {
		n := int64(binary.LittleEndian.Uint32(rest))
		if n < 2 || 8+n > int64(len(rest)) || crc32.Checksum(rest[8:8+n], castagnoli) != binary.LittleEndian.Uint32(rest[4:]) {
			break
		}
		rest = rest[8+n:]
	}
	if len(rest) == 0 {
		return nil
	}
	if len(rest) > maxStateEntry {
		return fmt.Errorf("%s is damaged at byte %d", path, len(text)-len(rest))
	}
	return os.Truncate(path, int64(len(text)-len(rest)))
}
