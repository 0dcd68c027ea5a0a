package sink

import (
	"bytes"
	"encoding/binary"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// databricksDouble answers the official driver as a SQL warehouse does, in the binary protocol of Thrift, as far as sessions and what
// statements end with go. It runs no SQL: what it is not told to refuse is done, and no table is there.
type databricksDouble struct {
	host   string
	refuse func(statement string) (state, said string) // said "": nothing
}

func newDatabricksDouble(t *testing.T, refuse func(statement string) (state, said string)) *databricksDouble {
	t.Helper()
	d := &databricksDouble{refuse: refuse}
	s := httptest.NewServer(d)
	t.Cleanup(s.Close)
	d.host = strings.Replace(s.Listener.Addr().String(), "127.0.0.1", "localhost", 1) // which the driver speaks HTTP to
	return d
}

func (d *databricksDouble) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	asked, err := io.ReadAll(r.Body)
	if err != nil || len(asked) < 8 || len(asked) < 12+int(binary.BigEndian.Uint32(asked[4:])) {
		http.Error(w, "no message of Thrift", http.StatusBadRequest)
		return
	}
	name := string(asked[8 : 8+binary.BigEndian.Uint32(asked[4:])])
	done := thriftStruct(thriftInt(1, 0)) // a status: success
	id := thriftField(12, 1, thriftStruct(thriftText(1, "0123456789abcdef"), thriftText(2, "0123456789abcdef")))
	answer := thriftField(12, 1, done)
	switch name {
	case "OpenSession":
		answer = append(answer, append(thriftInt(2, 0xA506), thriftField(12, 3, thriftStruct(id))...)...)
	case "ExecuteStatement":
		state, said := d.refuse(string(asked))
		if said == "" && bytes.Contains(asked, []byte("DESCRIBE TABLE")) {
			state, said = "42P01", "[TABLE_OR_VIEW_NOT_FOUND] The table or view cannot be found. SQLSTATE: 42P01"
		}
		ended := append(thriftField(12, 1, done), thriftInt(2, 2)...) // finished
		if said != "" {
			ended = append(thriftField(12, 1, done), thriftInt(2, 5)...) // error
			ended = append(ended, append(thriftText(3, state), thriftText(1281, said)...)...)
		}
		answer = append(answer, thriftField(12, 2, thriftStruct(id, thriftInt(2, 0), thriftField(2, 3, []byte{0})))...)
		answer = append(answer, thriftField(12, 1281, thriftStruct(thriftField(12, 1, thriftStruct(ended)), thriftField(12, 4, thriftStruct(thriftField(12, 1, done)))))...)
	}
	var b bytes.Buffer
	b.Write([]byte{0x80, 1, 0, 2})                                  // version 1, a reply
	b.Write(asked[4 : 12+len(name)])                                // to this call
	b.Write(thriftStruct(thriftField(12, 0, thriftStruct(answer)))) // returns
	_, _ = w.Write(b.Bytes())
}

// thriftStruct is the fields of a struct, and its end.
func thriftStruct(fields ...[]byte) []byte { return append(bytes.Join(fields, nil), 0) }

// thriftField is a field: its type, number and value.
func thriftField(typ byte, id uint16, value []byte) []byte {
	return append(binary.BigEndian.AppendUint16([]byte{typ}, id), value...)
}

func thriftInt(id uint16, n uint32) []byte {
	return thriftField(8, id, binary.BigEndian.AppendUint32(nil, n))
}

func thriftText(id uint16, s string) []byte {
	return thriftField(11, id, append(binary.BigEndian.AppendUint32(nil, uint32(len(s))), s...))
}
