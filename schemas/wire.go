package schemas

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"unicode/utf8"
)

var (
	errShort    = errors.New("the body ends in the middle of it")
	errVarint   = errors.New("a number of more than ten bytes, or past 64 bits")
	errInt      = errors.New("an int past 32 bits")
	errUTF8     = errors.New("text that is not UTF-8")
	errTooMany  = errors.New("more than a million values in one record")
	errTrailing = errors.New("bytes are left over at the end")
)

// wire reads Avro's binary encoding from the front of itself. Avro specification 1.12, "Binary Encoding".
type wire []byte

func (w *wire) long() (int64, error) {
	// Most numbers, and nearly all lengths and branches of unions, take one byte.
	if b := *w; len(b) > 0 && b[0] < 0x80 {
		*w = b[1:]
		return int64(b[0]>>1) ^ -int64(b[0]&1), nil
	}
	u, n := binary.Uvarint(*w)
	switch {
	case n == 0:
		return 0, errShort
	case n < 0:
		return 0, errVarint
	}
	*w = (*w)[n:]
	return int64(u>>1) ^ -int64(u&1), nil
}

func (w *wire) int() (int64, error) {
	n, err := w.long()
	if err == nil && n != int64(int32(n)) {
		return 0, errInt
	}
	return n, err
}

func (w *wire) boolean() (bool, error) {
	b, err := w.take(1)
	if err != nil {
		return false, err
	}
	if b[0] > 1 {
		return false, fmt.Errorf("a boolean of %d", b[0])
	}
	return b[0] == 1, nil
}

func (w *wire) float() (float64, error) {
	b, err := w.take(4)
	if err != nil {
		return 0, err
	}
	return float64(math.Float32frombits(binary.LittleEndian.Uint32(b))), nil
}

func (w *wire) double() (float64, error) {
	b, err := w.take(8)
	if err != nil {
		return 0, err
	}
	return math.Float64frombits(binary.LittleEndian.Uint64(b)), nil
}

// bytes returns a part of the body.
func (w *wire) bytes() ([]byte, error) {
	n, err := w.long()
	if err != nil {
		return nil, err
	}
	if n < 0 {
		return nil, fmt.Errorf("a length of %d", n)
	}
	if n > int64(len(*w)) {
		return nil, errShort
	}
	return w.take(int(n))
}

// text returns a part of the body.
func (w *wire) text() ([]byte, error) {
	b, err := w.bytes()
	if err == nil && !utf8.Valid(b) {
		return nil, errUTF8
	}
	return b, err
}

func (w *wire) take(n int) ([]byte, error) {
	b := *w
	if n > len(b) {
		return nil, errShort
	}
	*w = b[n:]
	return b[:n:n], nil
}

// index reads the number of a union's branch or an enum's symbol, of which there are n.
func (w *wire) index(n int) (int, error) {
	i, err := w.long()
	if err == nil && (i < 0 || i >= int64(n)) {
		return 0, fmt.Errorf("choice %d of %d", i, n)
	}
	return int(i), err
}

// block reads the head of a block of an array or a map: how many items it has, 0 at the end.
func (w *wire) block() (int64, error) {
	n, err := w.long()
	if err != nil || n >= 0 {
		return n, err
	}
	if n == math.MinInt64 {
		return 0, fmt.Errorf("a block of %d items", n)
	}
	_, err = w.long() // the block's size in bytes, for readers that skip
	return -n, err
}
