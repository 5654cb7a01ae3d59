package install

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// maxUnpacked bounds what one tarball may unpack to; the largest that we use, ONNX Runtime for five systems, has 300 MB.
const maxUnpacked = 2 << 30

// staged is where the i-th wanted file is unpacked to before it is moved into place.
func staged(dir string, i int) string { return filepath.Join(dir, "member-"+strconv.Itoa(i)) }

// unpack writes the wanted members of an npm tarball to their staged places. Names inside the tarball are only compared, never used as
// paths; every file must have the size and the sha256 that its list says.
func unpack(ctx context.Context, tarball, dir string, wanted []File) (err error) {
	f, err := os.Open(tarball)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	z, err := gzip.NewReader(f)
	if err != nil {
		return fmt.Errorf("unpack: %w", err)
	}
	byMember := map[string]int{}
	for i, w := range wanted {
		byMember[w.Member] = i
	}
	counted := &counter{r: z, left: maxUnpacked}
	for t := tar.NewReader(counted); len(byMember) > 0; {
		if err := ctx.Err(); err != nil {
			return err
		}
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("unpack: %w", err)
		}
		// npm puts everything below one folder, mostly named package.
		_, member, _ := strings.Cut(h.Name, "/")
		i, ok := byMember[member]
		if !ok {
			continue
		}
		if h.Typeflag != tar.TypeReg {
			return fmt.Errorf("unpack: %s is not a regular file", member)
		}
		if err := write(staged(dir, i), t, wanted[i]); err != nil {
			return err
		}
		delete(byMember, member)
	}
	for member := range byMember {
		return fmt.Errorf("unpack: the package has no %s", member)
	}
	return nil
}

// write copies one member to a file and compares size and checksum.
func write(path string, r io.Reader, want File) (err error) {
	out, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644) //nolint:gosec // G302: public files; the worker may run as another user than the installer
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	h := sha256.New()
	n, err := io.Copy(io.MultiWriter(out, h), io.LimitReader(r, want.Bytes+1))
	if err != nil {
		return fmt.Errorf("unpack %s: %w", want.Member, err)
	}
	if n != want.Bytes {
		return fmt.Errorf("unpack %s: it does not have the %d bytes that the list says", want.Member, want.Bytes)
	}
	if got := hex.EncodeToString(h.Sum(nil)); got != want.SHA256 {
		return &ChecksumError{What: want.Member, Want: want.SHA256, Got: got}
	}
	return out.Sync()
}

// counter stops a reader that gives more than it may.
type counter struct {
	r    io.Reader
	left int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	if c.left -= int64(n); c.left < 0 {
		return n, fmt.Errorf("the tarball unpacks to more than %d bytes", int64(maxUnpacked))
	}
	return n, err
}

func hashFile(path string) (sum string, err error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", fmt.Errorf("read %s: %w", path, err)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// wait pauses between two looks at a lock.
func wait(ctx context.Context) error {
	t := time.NewTimer(100 * time.Millisecond)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
