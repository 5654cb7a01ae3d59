package install

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"

	"onsite/models/convert"
	"onsite/models/manifest"
)

// membersOf lists what must come out of a tarball for the wanted files, and where each one's own members start in that list: a file that
// is made by conversion has several.
func membersOf(wanted []File) (members []File, first []int) {
	for _, f := range wanted {
		first = append(first, len(members))
		if f.made == nil {
			members = append(members, f)
			continue
		}
		for _, p := range f.made.Parts {
			members = append(members, File{Name: f.Name, Member: p.Member, Bytes: p.Bytes, SHA256: p.SHA256})
		}
	}
	return members, first
}

// convert makes the file out of its unpacked parts, the first of which is the i-th staged member; it takes that one's place.
func (f File) convert(dir string, i int) error {
	parts := make([][]byte, len(f.made.Parts))
	for k, p := range f.made.Parts {
		data, err := os.ReadFile(staged(dir, i+k))
		if err != nil {
			return err
		}
		if p.End > 0 {
			data = data[p.First:p.End]
		}
		parts[k] = data
	}
	outs := make([]convert.Output, len(f.made.Outputs))
	for k, o := range f.made.Outputs {
		outs[k] = convert.Output{Tensor: o.Tensor, Name: o.Name, Mean: o.Mean}
	}
	var onnx []byte
	var err error
	switch f.made.From {
	case manifest.TFLite:
		onnx, err = convert.TFLite(parts[0], outs)
	case manifest.TFJS:
		onnx, err = convert.TFJS(parts[0], parts[1], outs)
	default:
		err = fmt.Errorf("there is no converter from %q", f.made.From)
	}
	if err != nil {
		return fmt.Errorf("make %s: %w", f.Name, err)
	}
	sum := sha256.Sum256(onnx)
	if got := hex.EncodeToString(sum[:]); got != f.SHA256 {
		return &ChecksumError{What: "the converted " + f.Name, Want: f.SHA256, Got: got}
	}
	if int64(len(onnx)) != f.Bytes {
		return fmt.Errorf("make %s: %d bytes came out, want %d", f.Name, len(onnx), f.Bytes)
	}
	return os.WriteFile(staged(dir, i), onnx, 0o644)
}
