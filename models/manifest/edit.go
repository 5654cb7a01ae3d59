package manifest

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/goccy/go-yaml"
)

// Conflicts gives those of the known models that use the same file for the same task in another way: with another input, other outputs or
// another decoder. What they make could not be told apart.
func (m Manifest) Conflicts(known []Manifest) (out []Manifest) {
	for _, k := range known {
		if m.otherUse(k) {
			out = append(out, k)
		}
	}
	return out
}

func (m Manifest) otherUse(k Manifest) bool {
	if k.File.SHA256 != m.File.SHA256 || k.Task != m.Task {
		return false
	}
	use := func(m Manifest) string {
		return Manifest{Input: m.Input, Outputs: m.Outputs, Decoder: Decoder{Name: m.Decoder.Name}}.Digest()
	}
	return use(m) != use(k)
}

// ErrByHand says that a manifest is written in a way that cannot be changed by program.
var ErrByHand = errors.New("the manifest is written in a way that this program does not change; write it by hand")

// Edit gives the text of a manifest with golden samples and thresholds of the given manifest in the place of its own, and everything else,
// comments too, as it was.
func Edit(path string, text []byte, with Manifest) ([]byte, error) {
	for _, part := range []struct {
		key   string
		value any
		empty bool
	}{{"thresholds", with.Thresholds, len(with.Thresholds) == 0}, {"golden", with.Golden, len(with.Golden) == 0}} {
		block := []byte{}
		if !part.empty {
			var err error
			if block, err = yaml.Marshal(map[string]any{part.key: part.value}); err != nil {
				return nil, fmt.Errorf("write the %s of manifest %s: %w", part.key, path, err)
			}
		}
		text = replaceBlock(text, part.key, block)
	}
	// The program reads what it wrote: nothing but the two parts may have changed.
	got, err := Parse(path, text)
	if err != nil {
		return nil, fmt.Errorf("%w (%w)", ErrByHand, err)
	}
	if got.Digest() != with.Digest() {
		return nil, fmt.Errorf("manifest %s: %w", path, ErrByHand)
	}
	return text, nil
}

// replaceBlock puts another block in the place of a key at the left edge, or at the end. Comments and empty lines between two keys stay.
func replaceBlock(text []byte, key string, block []byte) []byte {
	lines := bytes.SplitAfter(text, []byte("\n"))
	begin, end := -1, len(lines)
	for i, line := range lines {
		if begin < 0 {
			if bytes.HasPrefix(line, []byte(key+":")) {
				begin = i
			}
			continue
		}
		if len(bytes.TrimSpace(line)) > 0 && !bytes.ContainsAny(line[:1], " \t-#") {
			end = i
			break
		}
	}
	if begin < 0 {
		if len(text) > 0 && text[len(text)-1] != '\n' {
			text = append(text[:len(text):len(text)], '\n')
		}
		return append(text[:len(text):len(text)], block...)
	}
	for end > begin+1 { // what stands before the next key belongs to that
		last := lines[end-1]
		if len(bytes.TrimSpace(last)) > 0 && last[0] != '#' {
			break
		}
		end--
	}
	out := bytes.Join(lines[:begin], nil)
	out = append(out[:len(out):len(out)], block...)
	return append(out, bytes.Join(lines[end:], nil)...)
}

// Rewrite changes golden samples and thresholds in a manifest's file, whole or not at all.
func Rewrite(path string, with Manifest) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("read model manifest: %w", err)
	}
	if text, err = Edit(path, text, with); err != nil {
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), "."+strings.TrimSuffix(filepath.Base(path), ".yaml")+"-*")
	if err != nil {
		return fmt.Errorf("write model manifest %s: %w", path, err)
	}
	_, err = tmp.Write(text)
	if err = errors.Join(err, tmp.Chmod(0o644), tmp.Close()); err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("write model manifest %s: %w", path, err), os.Remove(tmp.Name()))
	}
	return nil
}
