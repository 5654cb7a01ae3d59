package bench

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"errors"
	"fmt"
	"io"

	"google.golang.org/protobuf/encoding/protowire"
)

// stack is one sampled call stack of a CPU profile, the innermost function first, and how often it was seen. Functions outside of Go are
// named by the file that they come from.
type stack struct {
	functions []string
	count     int64
}

// maxProfile bounds an unpacked profile in bytes; one of a second has about 50 kB.
const maxProfile = 64 << 20

var errProfile = errors.New("bench: a CPU profile that cannot be read")

// readProfile unpacks what runtime/pprof writes: the parts of profile.proto that name functions and count samples
// (github.com/google/pprof/blob/main/proto/profile.proto).
func readProfile(raw []byte) ([]stack, error) {
	z, err := gzip.NewReader(bytes.NewReader(raw))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errProfile, err)
	}
	data, err := io.ReadAll(io.LimitReader(z, maxProfile))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errProfile, err)
	}
	var texts []string
	type sample struct{ locations, values []uint64 }
	var samples []sample
	lines := map[uint64][]uint64{} // of a location: its functions, the inlined first
	names := map[uint64]uint64{}   // of a function: its text
	files := map[uint64]uint64{}   // of a mapping: its text
	inside := map[uint64]uint64{}  // of a location: its mapping
	err = fields(data, func(field protowire.Number, v uint64, body []byte) error {
		switch field {
		case 2: // sample
			var s sample
			err := fields(body, func(f protowire.Number, v uint64, packed []byte) error {
				into := &s.locations
				switch f {
				case 1:
				case 2:
					into = &s.values
				default:
					return nil
				}
				if packed == nil {
					*into = append(*into, v)
					return nil
				}
				return varints(packed, into)
			})
			samples = append(samples, s)
			return err
		case 3: // mapping
			var id uint64
			err := fields(body, func(f protowire.Number, v uint64, _ []byte) error {
				switch f {
				case 1:
					id = v
				case 5:
					files[id] = v
				}
				return nil
			})
			return err
		case 4: // location
			var id uint64
			var calls []uint64
			err := fields(body, func(f protowire.Number, v uint64, line []byte) error {
				switch f {
				case 1:
					id = v
				case 2:
					inside[id] = v
				case 4:
					return fields(line, func(f protowire.Number, v uint64, _ []byte) error {
						if f == 1 {
							calls = append(calls, v)
						}
						return nil
					})
				}
				return nil
			})
			lines[id] = calls
			return err
		case 5: // function
			var id, name uint64
			err := fields(body, func(f protowire.Number, v uint64, _ []byte) error {
				switch f {
				case 1:
					id = v
				case 2:
					name = v
				}
				return nil
			})
			names[id] = name
			return err
		case 6:
			texts = append(texts, string(body))
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	out := make([]stack, 0, len(samples))
	for _, s := range samples {
		if len(s.values) == 0 {
			continue
		}
		k := stack{count: int64(min(s.values[0], 1<<40))}
		for _, l := range s.locations {
			// What has no function, or one without a name, is C; its library is all that is known.
			library := ""
			if n := files[inside[l]]; n < uint64(len(texts)) {
				library = texts[n]
			}
			if len(lines[l]) == 0 && library != "" {
				k.functions = append(k.functions, library)
			}
			for _, f := range lines[l] {
				if n := names[f]; n < uint64(len(texts)) {
					k.functions = append(k.functions, cmp.Or(texts[n], library))
				}
			}
		}
		out = append(out, k)
	}
	return out, nil
}

// fields walks a protobuf message; body is nil for numbers.
func fields(data []byte, each func(field protowire.Number, v uint64, body []byte) error) error {
	for len(data) > 0 {
		field, kind, n := protowire.ConsumeTag(data)
		if n < 0 {
			return fmt.Errorf("%w: %w", errProfile, protowire.ParseError(n))
		}
		data = data[n:]
		var v uint64
		var body []byte
		switch kind {
		case protowire.VarintType:
			v, n = protowire.ConsumeVarint(data)
		case protowire.BytesType:
			body, n = protowire.ConsumeBytes(data)
			if body == nil {
				body = []byte{}
			}
		default:
			n = protowire.ConsumeFieldValue(field, kind, data)
		}
		if n < 0 {
			return fmt.Errorf("%w: %w", errProfile, protowire.ParseError(n))
		}
		data = data[n:]
		if err := each(field, v, body); err != nil {
			return err
		}
	}
	return nil
}

func varints(packed []byte, into *[]uint64) error {
	for len(packed) > 0 {
		v, n := protowire.ConsumeVarint(packed)
		if n < 0 {
			return fmt.Errorf("%w: %w", errProfile, protowire.ParseError(n))
		}
		*into, packed = append(*into, v), packed[n:]
	}
	return nil
}
