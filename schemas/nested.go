package schemas

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"strconv"
	"strings"
	"time"
)

// maxValues bounds the values of one record that become JSON: items of types that take no bytes, such as null, can be
// announced by the billion in a body of ten bytes.
const maxValues = 1_000_000

// jsonValues makes JSON of values that no plain column can hold.
type jsonValues struct {
	buf    []byte
	values int
}

func (j *jsonValues) reset() { j.buf, j.values = j.buf[:0], 0 }

// number returns what write appends, in memory that stays valid until reset.
func (j *jsonValues) number(write func([]byte) []byte) []byte {
	start := len(j.buf)
	j.buf = write(j.buf)
	return j.buf[start:]
}

// top reads the value of a column. The text stays valid until reset.
func (j *jsonValues) top(t *avroType, w *wire) (text []byte, null bool, err error) {
	start := len(j.buf)
	if err := j.value(t, w); err != nil {
		return nil, false, err
	}
	text = j.buf[start:]
	return text, string(text) == "null" && t.maybeNull(), nil
}

// value appends a value as JSON: records and maps are objects, arrays arrays, a union is its value; bytes and fixed are
// base64, decimals numbers with all their digits, dates and timestamps ISO 8601, strings of logical type json what they
// hold. JSON has no numbers for NaN and the infinities: they become the strings "NaN", "Infinity" and "-Infinity".
func (j *jsonValues) value(t *avroType, w *wire) error {
	if j.values++; j.values > maxValues {
		return errTooMany
	}
	switch t.name {
	case "null":
		j.buf = append(j.buf, "null"...)
	case "boolean":
		v, err := w.boolean()
		if err != nil {
			return err
		}
		j.buf = strconv.AppendBool(j.buf, v)
	case "int":
		v, err := w.int()
		if err != nil {
			return err
		}
		j.integer(t, v)
	case "long":
		v, err := w.long()
		if err != nil {
			return err
		}
		j.integer(t, v)
	case "float":
		v, err := w.float()
		if err != nil {
			return err
		}
		j.float(v, 32)
	case "double":
		v, err := w.double()
		if err != nil {
			return err
		}
		j.float(v, 64)
	case "string":
		v, err := w.text()
		if err != nil {
			return err
		}
		if t.logical == "json" && json.Valid(v) {
			j.buf = append(j.buf, v...)
		} else {
			j.buf = appendQuoted(j.buf, v)
		}
	case "bytes":
		v, err := w.bytes()
		if err != nil {
			return err
		}
		j.bytes(t, v)
	case "fixed":
		v, err := w.take(t.size)
		if err != nil {
			return err
		}
		j.bytes(t, v)
	case "enum":
		i, err := w.index(len(t.symbols))
		if err != nil {
			return err
		}
		j.buf = appendQuoted(j.buf, t.symbols[i])
	case "union":
		i, err := w.index(len(t.branches))
		if err != nil {
			return err
		}
		return j.value(t.branches[i], w)
	case "record":
		return j.record(t, w)
	default: // array, map
		return j.items(t, w)
	}
	return nil
}

func (j *jsonValues) record(t *avroType, w *wire) error {
	j.buf = append(j.buf, '{')
	for i, f := range t.fields {
		if i > 0 {
			j.buf = append(j.buf, ',')
		}
		j.buf = append(appendQuoted(j.buf, []byte(f.name)), ':')
		if err := j.value(f.typ, w); err != nil {
			return fmt.Errorf("%s: %w", f.name, err)
		}
	}
	j.buf = append(j.buf, '}')
	return nil
}

func (j *jsonValues) items(t *avroType, w *wire) error {
	open, end := byte('['), byte(']')
	var keys map[string]bool
	if t.name == "map" {
		open, end = '{', '}'
		keys = map[string]bool{}
	}
	j.buf = append(j.buf, open)
	for first := true; ; {
		n, err := w.block()
		if err != nil {
			return err
		}
		if n == 0 {
			break
		}
		for ; n > 0; n-- {
			if !first {
				j.buf = append(j.buf, ',')
			}
			first = false
			if keys != nil {
				key, err := w.text()
				if err != nil {
					return err
				}
				if keys[string(key)] {
					return fmt.Errorf("a map with the key %q twice", key)
				}
				keys[string(key)] = true
				j.buf = append(appendQuoted(j.buf, key), ':')
			}
			if err := j.value(t.items, w); err != nil {
				return err
			}
		}
	}
	j.buf = append(j.buf, end)
	return nil
}

func (j *jsonValues) integer(t *avroType, v int64) {
	var at time.Time
	layout := "2006-01-02T15:04:05.000Z"
	switch t.name + " " + t.logical {
	case "int date":
		at, layout = time.Unix(v*24*60*60, 0).UTC(), time.DateOnly
	case "long timestamp-millis":
		at = time.UnixMilli(v).UTC()
	case "long timestamp-micros":
		at, layout = time.UnixMicro(v).UTC(), "2006-01-02T15:04:05.000000Z"
	}
	// Years that ISO 8601 cannot write stay numbers.
	if year := at.Year(); at.IsZero() || year < 1 || year > 9999 {
		j.buf = strconv.AppendInt(j.buf, v, 10)
		return
	}
	j.buf = append(j.buf, '"')
	j.buf = at.AppendFormat(j.buf, layout)
	j.buf = append(j.buf, '"')
}

func (j *jsonValues) float(v float64, bits int) {
	switch {
	case math.IsNaN(v):
		j.buf = append(j.buf, `"NaN"`...)
	case math.IsInf(v, 1):
		j.buf = append(j.buf, `"Infinity"`...)
	case math.IsInf(v, -1):
		j.buf = append(j.buf, `"-Infinity"`...)
	default:
		j.buf = strconv.AppendFloat(j.buf, v, 'g', -1, bits)
	}
}

func (j *jsonValues) bytes(t *avroType, v []byte) {
	if t.logical == "decimal" {
		j.buf = appendDecimal(j.buf, v, t.scale)
		return
	}
	j.buf = append(j.buf, '"')
	j.buf = base64.StdEncoding.AppendEncode(j.buf, v)
	j.buf = append(j.buf, '"')
}

// appendDecimal appends a big-endian two's complement integer, moved right by scale digits.
func appendDecimal(buf, v []byte, scale int) []byte {
	n := new(big.Int).SetBytes(v)
	if len(v) > 0 && v[0]&0x80 != 0 {
		n.Sub(n, new(big.Int).Lsh(big.NewInt(1), uint(len(v))*8))
	}
	if n.Sign() < 0 {
		buf = append(buf, '-')
	}
	digits := n.Abs(n).String()
	if scale <= 0 {
		return append(buf, digits...)
	}
	if len(digits) <= scale {
		digits = strings.Repeat("0", scale+1-len(digits)) + digits
	}
	point := len(digits) - scale
	return append(append(append(buf, digits[:point]...), '.'), digits[point:]...)
}
