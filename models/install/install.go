package install

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"golang.org/x/sys/unix"
)

// Options says what to install, and where.
type Options struct {
	// Cache is the cache folder; it is made if it is not there.
	Cache string
	// Groups: models, runtime, media; nil: all.
	Groups []string
	// Further names further models (manifest.Further) to install as well.
	Further []string
	// From is a folder of tarballs made with `npm pack`, used instead of npm; empty: npm.
	From string
	// Fetch replaces npm and From; nil: those.
	Fetch Fetcher
	// Progress hears what is being done; nil: nobody. It is called from the installing goroutine.
	Progress func(Event)

	packages []Package // tests; nil: the embedded lists
}

// Event is one step of an installation.
type Event struct {
	Package string // name@version
	Step    string // "present", "fetch", "check", "unpack", "convert", "done"
	Number  int    // of the package, from 1
	Of      int    // packages in all
}

// ChecksumError says that something fetched or installed is not what the lists name.
type ChecksumError struct {
	What      string // the package or the file
	Want, Got string // sha256, hex
}

func (e *ChecksumError) Error() string {
	return fmt.Sprintf("%s has the wrong sha256: want %s, got %s", e.What, e.Want, e.Got)
}

func (o Options) list() ([]Package, error) {
	if o.packages != nil {
		return merge(o.packages, runtime.GOARCH)
	}
	groups := o.Groups
	if groups == nil {
		groups = Groups
	}
	packages, err := Packages(groups...)
	if err != nil || len(o.Further) == 0 {
		return packages, err
	}
	more, err := furtherPackages(o.Further)
	if err != nil {
		return nil, err
	}
	return merge(append(packages, more...), runtime.GOARCH)
}

func (o Options) fetcher() Fetcher {
	switch {
	case o.Fetch != nil:
		return o.Fetch
	case o.From != "":
		return Folder(o.From)
	}
	return NPM{}
}

// Install makes every wanted file present in the cache. Files that are there and right are left alone (known by size and time since
// they were last compared), so a second run is quick. Two installers at once wait for each other. A checksum that differs stops it with
// both values; nothing wrong is ever put in place.
func Install(ctx context.Context, o Options) (err error) {
	if o.Cache == "" {
		return errors.New("install: no cache folder given")
	}
	packages, err := o.list()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(o.Cache, 0o755); err != nil {
		return fmt.Errorf("install into %s: %w", o.Cache, err)
	}
	unlock, err := lock(ctx, o.Cache)
	if err != nil {
		return fmt.Errorf("install into %s: %w", o.Cache, err)
	}
	defer func() { err = errors.Join(err, unlock()) }()
	known := readStamps(o.Cache)
	defer func() { err = errors.Join(err, known.write(o.Cache)) }()
	for i, p := range packages {
		tell := func(step string) {
			if o.Progress != nil {
				o.Progress(Event{Package: p.id(), Step: step, Number: i + 1, Of: len(packages)})
			}
		}
		if err := installPackage(ctx, o, p, known, tell); err != nil {
			return fmt.Errorf("install %s: %w", p.id(), err)
		}
	}
	return nil
}

func installPackage(ctx context.Context, o Options, p Package, known stamps, tell func(string)) (err error) {
	var wanted []File
	for _, f := range p.Files {
		if state, _ := inspect(o.Cache, f, known, false); state != Present {
			wanted = append(wanted, f)
		}
	}
	if len(wanted) == 0 {
		tell("present")
		return nil
	}
	tmp, err := os.MkdirTemp(o.Cache, ".fetch-*")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(tmp)) }()
	tell("fetch")
	tarball, err := o.fetcher().Fetch(ctx, p.NPM, p.Version, tmp)
	if err != nil {
		return err
	}
	tell("check")
	sum, err := hashFile(tarball)
	if err != nil {
		return err
	}
	if sum != p.TarballSHA256 {
		return &ChecksumError{What: "the package's tarball", Want: p.TarballSHA256, Got: sum}
	}
	tell("unpack")
	members, first := membersOf(wanted)
	if err := unpack(ctx, tarball, tmp, members); err != nil {
		return err
	}
	for i, f := range wanted {
		if f.made != nil {
			tell("convert")
			if err := f.convert(tmp, first[i]); err != nil {
				return err
			}
		}
		path := f.path(o.Cache)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.Rename(staged(tmp, first[i]), path); err != nil {
			return err
		}
		if err := known.add(o.Cache, f); err != nil {
			return err
		}
	}
	tell("done")
	return nil
}

// lock waits for other installers of the same cache.
func lock(ctx context.Context, cache string) (func() error, error) {
	f, err := os.OpenFile(filepath.Join(cache, ".lock"), os.O_CREATE|os.O_RDWR, 0o644) //nolint:gosec // G302: an empty file; other users of a shared cache must be able to lock it
	if err != nil {
		return nil, err
	}
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return f.Close, nil // closing gives the lock back
		}
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return nil, errors.Join(fmt.Errorf("lock: %w", err), f.Close())
		}
		if err := wait(ctx); err != nil {
			return nil, errors.Join(fmt.Errorf("wait for another installer: %w", err), f.Close())
		}
	}
}
