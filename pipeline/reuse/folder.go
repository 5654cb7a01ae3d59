package reuse

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"sort"
	"strings"
	"sync"
	"time"

	"onsite/pipeline"
	"onsite/pipeline/media"
)

// cacheFolder lies inside a folder of earlier footage and holds its fingerprints, <sha256 of the clip>.fp. It may be deleted at any time.
const cacheFolder = ".onsite"

// Decode turns an outside file into a clip, which the caller closes; (*media.Decoder).Decode with a request is one.
type Decode func(context.Context, pipeline.Media) (*media.Clip, error)

// FolderOptions says how to open a folder of earlier footage.
type FolderOptions struct {
	Dir    string
	Except string // the submitted file: it is no earlier footage when it lies in the folder itself; empty: none
	Decode Decode
	// Blur makes people unrecognisable in a clip's frames before Picture shows them; nil: nobody is blurred.
	Blur     func(context.Context, *media.Clip) error
	Workers  int                   // clips fingerprinted at once; 0: one per core
	Progress func(done, total int) // may be nil; called from one goroutine at a time
}

// Folder is the history of a folder: every clip and photo in it, without subfolders and hidden files. It implements pipeline.History.
type Folder struct {
	options FolderOptions
	entries []entry
	skipped []Skipped
	asOf    int64

	mu     sync.Mutex // guards the album
	album  string     // job whose stills are kept
	stills []albumStill
}

var _ pipeline.History = (*Folder)(nil)

type entry struct {
	name, sha string
	print     []byte
}

// Skipped is a file that is no earlier footage, and why.
type Skipped struct {
	Name string
	Err  error
}

// OpenFolder fingerprints what lies in the folder, or reads the fingerprints from its cache. Files that cannot be read or decoded are
// skipped and listed; a cache that cannot be written is no error, it only costs time the next time.
func OpenFolder(ctx context.Context, o FolderOptions) (*Folder, error) {
	list, err := os.ReadDir(o.Dir)
	if err != nil {
		return nil, fmt.Errorf("open the folder of earlier footage: %w", err)
	}
	var except os.FileInfo
	if o.Except != "" {
		if except, err = os.Stat(o.Except); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("open the folder of earlier footage: look at the submitted file: %w", err)
		}
	}
	f := &Folder{options: o}
	var names []string
	for _, d := range list {
		if strings.HasPrefix(d.Name(), ".") {
			continue
		}
		info, err := os.Stat(filepath.Join(o.Dir, d.Name())) // through links
		switch {
		case err != nil:
			f.skipped = append(f.skipped, Skipped{d.Name(), fmt.Errorf("read earlier footage %s: %w", d.Name(), err)})
		case !info.Mode().IsRegular() || except != nil && os.SameFile(info, except):
		default:
			names = append(names, d.Name())
			f.asOf = max(f.asOf, info.ModTime().UnixMilli())
		}
	}
	if err := f.read(ctx, names); err != nil {
		return nil, err
	}
	sort.Slice(f.skipped, func(a, b int) bool { return f.skipped[a].Name < f.skipped[b].Name })
	return f, nil
}

// read fingerprints the files on a few workers; the order of entries is that of the names whoever is first.
func (f *Folder) read(ctx context.Context, names []string) error {
	workers := f.options.Workers
	if workers < 1 {
		workers = runtime.NumCPU()
	}
	entries, errs := make([]entry, len(names)), make([]error, len(names))
	next := make(chan int)
	var wg sync.WaitGroup
	var mu sync.Mutex
	done := 0
	for range min(workers, len(names)) {
		wg.Go(func() {
			for i := range next {
				entries[i], errs[i] = f.fingerprint(ctx, names[i])
				mu.Lock()
				done++
				if f.options.Progress != nil {
					f.options.Progress(done, len(names))
				}
				mu.Unlock()
			}
		})
	}
	for i := range names {
		if ctx.Err() != nil {
			break
		}
		next <- i
	}
	close(next)
	wg.Wait()
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("read earlier footage in %s: %w", f.options.Dir, err)
	}
	for i, e := range entries {
		if errs[i] != nil {
			f.skipped = append(f.skipped, Skipped{names[i], errs[i]})
			continue
		}
		f.entries = append(f.entries, e)
	}
	return nil
}

// fingerprint gives one file's fingerprint, from the cache if it is there and of this version.
func (f *Folder) fingerprint(ctx context.Context, name string) (entry, error) {
	path := filepath.Join(f.options.Dir, name)
	sha, err := hashFile(path)
	if err != nil {
		return entry{}, fmt.Errorf("read earlier footage %s: %w", name, err)
	}
	if b, err := pipeline.ReadFile(f.cached(sha), maxEncoded); err == nil {
		var fp Fingerprint
		if versionOf(b) == FormatVersion && fp.UnmarshalBinary(b) == nil && fp.SHA256 == sha {
			return entry{name, sha, b}, nil
		}
	}
	clip, err := f.options.Decode(ctx, pipeline.File(path))
	if err != nil {
		return entry{}, fmt.Errorf("decode earlier footage %s: %w", name, err)
	}
	defer clip.Close()
	fp, err := Compute(clip)
	if err != nil {
		return entry{}, fmt.Errorf("earlier footage %s: %w", name, err)
	}
	b, err := fp.MarshalBinary()
	if err != nil {
		return entry{}, fmt.Errorf("earlier footage %s: %w", name, err)
	}
	f.keep(fp.SHA256, b)
	return entry{name, fp.SHA256, b}, nil
}

func (f *Folder) cached(sha string) string {
	return filepath.Join(f.options.Dir, cacheFolder, sha+".fp")
}

// keep writes a fingerprint to the cache, whole or not at all. A folder that cannot be written to is left as it is.
func (f *Folder) keep(sha string, b []byte) {
	dir := filepath.Join(f.options.Dir, cacheFolder)
	if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return
	}
	t, err := os.CreateTemp(dir, ".new-*")
	if err != nil {
		return
	}
	_, err = t.Write(b)
	if err = errors.Join(err, t.Chmod(0o644), t.Close()); err == nil {
		err = os.Rename(t.Name(), f.cached(sha))
	}
	if err != nil {
		_ = os.Remove(t.Name())
	}
}

// Skipped lists the files that are no earlier footage, by name.
func (f *Folder) Skipped() []Skipped { return f.skipped }

// Missing is how many of the skipped files are earlier footage that could not be read: damaged, over a limit, of a kind that is not
// accepted. What only lies beside it, such as a list or a document, is none.
func (f *Folder) Missing() int {
	n := 0
	for _, s := range f.skipped {
		if lost(s) {
			n++
		}
	}
	return n
}

// Len is how many earlier clips and photos there are.
func (f *Folder) Len() int { return len(f.entries) }

// Earlier lists the fingerprints by file name.
func (f *Folder) Earlier(ctx context.Context) ([]pipeline.Earlier, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("list earlier footage: %w", err)
	}
	out := make([]pipeline.Earlier, len(f.entries))
	for i, e := range f.entries {
		out[i] = pipeline.Earlier{Job: e.name, Fingerprint: e.print, SHA256: e.sha}
	}
	return out, nil
}

// AsOf is the time of the newest file, milliseconds since 1970.
func (f *Folder) AsOf() int64 { return f.asOf }

func hashFile(path string) (string, error) {
	file, err := pipeline.OpenRegular(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	h := sha256.New()
	if _, err := io.Copy(h, file); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// nearest gives the still nearest to a time.
func nearest(stills []albumStill, at time.Duration) []byte {
	best := stills[0]
	for _, s := range stills {
		if (s.pts - at).Abs() < (best.pts - at).Abs() {
			best = s
		}
	}
	return best.jpeg
}
