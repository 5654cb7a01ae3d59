package head

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/gob"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// Variants of a picture that features are measured on.
const (
	Plain = ""     // as it is
	Gray  = "grey" // without colours
)

// Measure gives the features of one variant of the picture at path.
type Measure func(ctx context.Context, path, variant string) (Input, error)

// Cache keeps features on disk: measuring one picture costs a quarter of a second of CPU. A file is named by the picture's checksum, the
// variant and the versions of everything that measures, so that nothing stale can be read.
type Cache struct {
	Dir      string   // empty: nothing is kept
	Versions []string // sha256 of the models and a word for the code around them
}

// Fill measures every sample of the folder in the given variants, as many at once as there are cores. The result has one sample per picture
// and variant, in the order of the samples; spent is the time that was spent on pictures whose features were not in the cache, and
// measured how many these were.
func (c Cache) Fill(ctx context.Context, dir string, samples []Sample, variants func(Sample) []string, measure Measure, progress func(done, of int)) (out []Sample, spent time.Duration, measured int, err error) {
	for _, s := range samples {
		for _, v := range variants(s) {
			s.Variant = v
			out = append(out, s)
		}
	}
	var mu sync.Mutex
	done := 0
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(runtime.GOMAXPROCS(0))
	for i := range out {
		g.Go(func() error {
			s := &out[i]
			var took time.Duration
			in, ok := c.read(*s, s.Variant)
			if !ok {
				start := time.Now()
				var err error
				if in, err = measure(ctx, filepath.Join(dir, filepath.FromSlash(s.File)), s.Variant); err != nil {
					return fmt.Errorf("measure %s: %w", s.File, err)
				}
				took = time.Since(start)
				if err := c.write(*s, s.Variant, in); err != nil {
					return err
				}
			}
			s.Input = in
			mu.Lock()
			defer mu.Unlock()
			if !ok {
				spent, measured = spent+took, measured+1
			}
			if done++; progress != nil {
				progress(done, len(out))
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return nil, 0, 0, err
	}
	return out, spent, measured, nil
}

func (c Cache) path(s Sample, variant string) string {
	sum := sha256.Sum256([]byte(strings.Join(append([]string{s.SHA256, variant}, c.Versions...), "\n")))
	return filepath.Join(c.Dir, hex.EncodeToString(sum[:])+".features")
}

// read gives what was kept; anything unreadable is measured again.
func (c Cache) read(s Sample, variant string) (Input, bool) {
	if c.Dir == "" {
		return Input{}, false
	}
	raw, err := os.ReadFile(c.path(s, variant))
	if err != nil {
		return Input{}, false
	}
	var in Input
	if err := gob.NewDecoder(bytes.NewReader(raw)).Decode(&in); err != nil {
		return Input{}, false
	}
	return in, true
}

func (c Cache) write(s Sample, variant string, in Input) (err error) {
	if c.Dir == "" {
		return nil
	}
	var b bytes.Buffer
	if err := gob.NewEncoder(&b).Encode(in); err != nil {
		return fmt.Errorf("keep features: %w", err)
	}
	if err := os.MkdirAll(c.Dir, 0o755); err != nil {
		return fmt.Errorf("keep features: %w", err)
	}
	f, err := os.CreateTemp(c.Dir, ".tmp-*")
	if err != nil {
		return fmt.Errorf("keep features: %w", err)
	}
	_, err = f.Write(b.Bytes())
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(fmt.Errorf("keep features: %w", err), os.Remove(f.Name()))
	}
	return os.Rename(f.Name(), c.path(s, variant))
}
