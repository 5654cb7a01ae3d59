package face

import (
	"bytes"
	"encoding"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"image"
	"math"
	"unicode/utf8"

	"onsite/pipeline"
)

// templateVersion is the version of a template's binary form; a change of the form or of what the numbers mean raises it.
const templateVersion = 1

// Bounds of a stored template.
const (
	maxDimension = 4096 // numbers of a vector
	maxName      = 1024 // bytes of a photo's name
	maxTemplate  = 4*maxDimension + maxName + 256
)

var templateMagic = [4]byte{'O', 'N', 'S', 'T'}

// ErrTemplate is wrapped by every error about bytes that are no template of this version.
var ErrTemplate = errors.New("not a face template of this version")

var (
	_ encoding.BinaryMarshaler   = Template{}
	_ encoding.BinaryUnmarshaler = (*Template)(nil)
)

// faults are the faults by their number in the binary form.
var faults = []Fault{FaultNone, FaultSmall, FaultMisaligned, FaultTurned, FaultBlurred, FaultDark, FaultBright}

// The binary form, little endian: mark, version (2 bytes), sha256 of the model and of the photo (32 each, zeroes: not known), numbers of
// the vector (2) and the vector (float32), the box (4 x int32), size (uint32), sharpness, brightness, contrast, residual, weight
// (float64), fault (1), length of the name (2) and the name in UTF-8, CRC-32 of everything before.

// MarshalBinary writes a template. The bytes are biometric data: they are sealed or not stored at all.
func (t Template) MarshalBinary() ([]byte, error) {
	model, err := pipeline.DigestBytes(t.Vector.Model)
	if err != nil {
		return nil, fmt.Errorf("encode the template of photo %s: sha256 of the model: %w", t.Name, err)
	}
	photo, err := pipeline.DigestBytes(t.SHA256)
	if err != nil {
		return nil, fmt.Errorf("encode the template of photo %s: sha256 of the photo: %w", t.Name, err)
	}
	if err := t.valid(); err != nil {
		return nil, fmt.Errorf("encode the template of photo %s: %w", t.Name, err)
	}
	fault := 0
	for i, f := range faults {
		if f == t.Quality.Fault {
			fault = i
		}
	}
	e, q := binary.LittleEndian, t.Quality
	b := append([]byte{}, templateMagic[:]...)
	b = e.AppendUint16(b, templateVersion)
	b = append(append(b, model...), photo...)
	b = e.AppendUint16(b, uint16(len(t.Vector.V)))
	for _, x := range t.Vector.V {
		b = e.AppendUint32(b, math.Float32bits(x))
	}
	for _, x := range []int{t.Box.Min.X, t.Box.Min.Y, t.Box.Max.X, t.Box.Max.Y, q.Size} {
		b = e.AppendUint32(b, uint32(int32(x)))
	}
	for _, x := range []float64{q.Sharpness, q.Brightness, q.Contrast, q.Residual, q.Weight} {
		b = e.AppendUint64(b, math.Float64bits(x))
	}
	b = append(b, byte(fault))
	b = e.AppendUint16(b, uint16(len(t.Name)))
	b = append(b, t.Name...)
	return e.AppendUint32(b, crc32.ChecksumIEEE(b)), nil
}

// UnmarshalBinary reads what MarshalBinary wrote and refuses everything else with an error that wraps ErrTemplate. The error holds
// nothing of the vector.
func (t *Template) UnmarshalBinary(data []byte) error {
	e := binary.LittleEndian
	if len(data) < len(templateMagic)+2+4 || len(data) > maxTemplate || !bytes.Equal(data[:4], templateMagic[:]) {
		return fmt.Errorf("%w: %d bytes without its mark, or too many", ErrTemplate, len(data))
	}
	if v := e.Uint16(data[4:]); v != templateVersion {
		return fmt.Errorf("%w: version %d, want %d", ErrTemplate, v, templateVersion)
	}
	body, sum := data[:len(data)-4], e.Uint32(data[len(data)-4:])
	if crc32.ChecksumIEEE(body) != sum {
		return fmt.Errorf("%w: its checksum is wrong", ErrTemplate)
	}
	r := templateReader{b: body[6:]}
	var g Template
	g.Vector.Model, g.SHA256 = pipeline.DigestText(r.take(32)), pipeline.DigestText(r.take(32))
	if n := int(r.u16()); n <= maxDimension && 4*n <= len(r.b) {
		g.Vector.V = make([]float32, n)
		for i := range g.Vector.V {
			g.Vector.V[i] = math.Float32frombits(e.Uint32(r.take(4)))
		}
	} else {
		r.short = true
	}
	g.Box = image.Rectangle{Min: image.Pt(r.i32(), r.i32()), Max: image.Pt(r.i32(), r.i32())}
	q := &g.Quality
	q.Size = r.i32()
	for _, x := range []*float64{&q.Sharpness, &q.Brightness, &q.Contrast, &q.Residual, &q.Weight} {
		*x = math.Float64frombits(e.Uint64(r.take(8)))
	}
	if f := int(r.take(1)[0]); f < len(faults) {
		q.Fault = faults[f]
	} else {
		return fmt.Errorf("%w: fault %d", ErrTemplate, f)
	}
	g.Name = string(r.take(int(r.u16())))
	if r.short || len(r.b) > 0 {
		return fmt.Errorf("%w: %d bytes do not hold what they promise", ErrTemplate, len(data))
	}
	if err := g.valid(); err != nil {
		return fmt.Errorf("%w: %w", ErrTemplate, err)
	}
	*t = g
	return nil
}

// valid says what no template can be: it is compared without a further look.
func (t *Template) valid() error {
	n := len(t.Vector.V)
	if n < 1 || n > maxDimension {
		return fmt.Errorf("a vector of %d numbers, want 1 to %d", n, maxDimension)
	}
	var norm float64
	for _, x := range t.Vector.V {
		norm += float64(x) * float64(x)
	}
	if !(math.Abs(norm-1) < 1e-3) { // written so that NaN is refused too
		return errors.New("its vector is not of length 1")
	}
	for _, x := range []float64{t.Quality.Sharpness, t.Quality.Brightness, t.Quality.Contrast, t.Quality.Residual, t.Quality.Weight} {
		if math.IsNaN(x) || math.IsInf(x, 0) || x < 0 {
			return fmt.Errorf("a quality of %v", x)
		}
	}
	if t.Box != t.Box.Canon() || t.Box.Min.X < 0 || t.Box.Min.Y < 0 || t.Box.Max.X > math.MaxInt32 || t.Box.Max.Y > math.MaxInt32 || t.Quality.Size < 0 || t.Quality.Size > math.MaxInt32 {
		return fmt.Errorf("a box of %v, %d pixels", t.Box, t.Quality.Size)
	}
	if len(t.Name) > maxName || !utf8.ValidString(t.Name) {
		return fmt.Errorf("a name of %d bytes, want at most %d in UTF-8", len(t.Name), maxName)
	}
	if t.Vector.Model == "" {
		return errors.New("no model is named")
	}
	return nil
}

// templateReader takes bytes from the front; once it ran short it gives zeroes.
type templateReader struct {
	b     []byte
	short bool
}

func (r *templateReader) take(n int) []byte {
	if r.short || n > len(r.b) {
		r.short = true
		return make([]byte, n)
	}
	out := r.b[:n]
	r.b = r.b[n:]
	return out
}

func (r *templateReader) u16() uint16 { return binary.LittleEndian.Uint16(r.take(2)) }
func (r *templateReader) i32() int    { return int(int32(binary.LittleEndian.Uint32(r.take(4)))) }
