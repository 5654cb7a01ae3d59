package vault

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"math"
	"os"
	"time"

	"github.com/oklog/ulid/v2"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"onsite/results"
	"onsite/results/object"
)

// cleanTimeout bounds what is cleaned up after the caller's context has ended.
const cleanTimeout = 10 * time.Second

// putAtOnce is how many objects of one PutAll are under way at a time.
const putAtOnce = 4

// Put seals what r gives under a fresh key of the object store: the key is noted as pending first, so that a crash leaves nothing behind.
// It stays pending until the row that names it is written (Keep, or Photos of Enrol). An error of r comes back wrapped and leaves nothing.
func (v *Vault) Put(ctx context.Context, tenant, subject string, r io.Reader) (Sealed, error) {
	o := owner{tenant, subject}
	k, err := v.keys(ctx, o, true)
	if err != nil {
		return Sealed{}, fmt.Errorf("seal an object: %w", err)
	}
	key := o.newKey()
	if err := v.store.Pend(ctx, []string{key}); err != nil {
		return Sealed{}, fmt.Errorf("seal an object: note %s: %w", key, err)
	}
	s, err := v.put(ctx, k, key, r)
	if err != nil {
		return Sealed{}, errors.Join(err, v.takeBack(ctx, key))
	}
	return s, nil
}

// PutAll seals several small objects of one subject (keyframes), all or none: one note for all of them, and a few under way at a time.
func (v *Vault) PutAll(ctx context.Context, tenant, subject string, blobs [][]byte) ([]Sealed, error) {
	if len(blobs) == 0 {
		return nil, nil
	}
	o := owner{tenant, subject}
	k, err := v.keys(ctx, o, true)
	if err != nil {
		return nil, fmt.Errorf("seal objects: %w", err)
	}
	names := make([]string, len(blobs))
	for i := range names {
		names[i] = o.newKey()
	}
	if err := v.store.Pend(ctx, names); err != nil {
		return nil, fmt.Errorf("seal objects: note %d: %w", len(names), err)
	}
	sealed := make([]Sealed, len(blobs))
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(putAtOnce)
	for i, blob := range blobs {
		g.Go(func() (err error) {
			sealed[i], err = v.put(gctx, k, names[i], bytes.NewReader(blob))
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, errors.Join(err, v.takeBack(ctx, names...))
	}
	return sealed, nil
}

func (o owner) newKey() string { return o.tenant + "/" + o.subject + "/" + ulid.Make().String() }

func (v *Vault) put(ctx context.Context, k keys, key string, r io.Reader) (Sealed, error) {
	o, record, err := part(key)
	if err != nil {
		return Sealed{}, fmt.Errorf("seal an object: %w", err)
	}
	s := &sealer{plain: r, sum: sha256.New()}
	if s.enc, err = k.objects.NewEncryptingWriter(&s.out, o.about(record)); err != nil {
		return Sealed{}, fmt.Errorf("seal object %s: %w", key, err)
	}
	if err := v.objects.Put(ctx, key, s, -1); err != nil {
		return Sealed{}, err // names the key itself
	}
	return Sealed{Key: key, SHA256: hex.EncodeToString(s.sum.Sum(nil)), Bytes: s.bytes}, nil
}

// sealer reads plain bytes and gives sealed ones, a segment at a time: Tink only writes, and a pipe would need a goroutine.
type sealer struct {
	plain io.Reader
	enc   io.WriteCloser
	out   bytes.Buffer
	chunk []byte
	sum   hash.Hash
	bytes int64
	ended bool
}

func (s *sealer) Read(p []byte) (int, error) {
	for s.out.Len() == 0 {
		if s.ended {
			return 0, io.EOF
		}
		if s.chunk == nil {
			s.chunk = make([]byte, segmentBytes)
		}
		n, err := s.plain.Read(s.chunk)
		s.sum.Write(s.chunk[:n])
		s.bytes += int64(n)
		if _, werr := s.enc.Write(s.chunk[:n]); werr != nil {
			return 0, fmt.Errorf("seal: %w", werr)
		}
		if errors.Is(err, io.EOF) {
			s.ended = true
			if err := s.enc.Close(); err != nil {
				return 0, fmt.Errorf("seal: %w", err)
			}
			continue
		}
		if err != nil {
			return 0, err
		}
	}
	return s.out.Read(p)
}

// takeBack deletes what a failed Put may have left, also when the caller's context is what ended. What cannot be deleted now stays noted.
func (v *Vault) takeBack(ctx context.Context, keys ...string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanTimeout)
	defer cancel()
	return v.Discard(ctx, keys...)
}

// Discard deletes objects that were put and will not be named by a row after all.
func (v *Vault) Discard(ctx context.Context, keys ...string) error {
	var gone []string
	var errs []error
	for _, key := range keys {
		if err := v.objects.Delete(ctx, key); err != nil {
			errs = append(errs, err)
			if ctx.Err() != nil || errors.Is(err, object.ErrAway) {
				break // nor will the others go
			}
			continue
		}
		gone = append(gone, key)
	}
	if len(gone) > 0 {
		if err := v.store.Forget(ctx, gone); err != nil {
			errs = append(errs, fmt.Errorf("forget %d deleted objects: %w", len(gone), err))
		}
	}
	return errors.Join(errs...)
}

// open gives the plain bytes of an object as they are read. What the reader gave is proven only by its end: an error may come after
// megabytes.
func (v *Vault) open(ctx context.Context, key string) (io.ReadCloser, error) {
	o, record, err := part(key)
	if err != nil {
		return nil, err
	}
	k, kerr := v.keys(ctx, o, false)
	if kerr != nil && !errors.Is(kerr, results.ErrNotFound) {
		return nil, kerr
	}
	body, err := v.objects.Get(ctx, key)
	if err != nil {
		return nil, err
	}
	if kerr != nil { // there is an object, but its subject never had a key: it was put there by others
		body.Close()
		return nil, fmt.Errorf("%w: %w", ErrForged, kerr)
	}
	src := &recorder{r: body}
	plain, err := k.objects.NewDecryptingReader(src, o.about(record))
	if err != nil {
		body.Close()
		return nil, fmt.Errorf("%w: %w", ErrForged, err)
	}
	return &opener{plain: plain, src: src, body: body}, nil
}

// recorder remembers the first error of a reader: Tink hides it behind its own.
type recorder struct {
	r   io.Reader
	err error
}

func (r *recorder) Read(p []byte) (int, error) {
	n, err := r.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) && r.err == nil {
		r.err = err
	}
	return n, err
}

// opener tells an object that was changed from a store that broke off.
type opener struct {
	plain io.Reader
	src   *recorder
	body  io.Closer
}

func (o *opener) Read(p []byte) (int, error) {
	n, err := o.plain.Read(p)
	switch {
	case err == nil, errors.Is(err, io.EOF) && o.src.err == nil:
		return n, err
	case o.src.err != nil:
		return n, o.src.err
	}
	return n, fmt.Errorf("%w: %w", ErrForged, err)
}

func (o *opener) Close() error { return o.body.Close() }

// Open gives the plain bytes of an object as an anonymous file in memory (memfd), sealed against changes, at offset 0: plain media never
// touches a disk. results.ErrErased after the subject's key was destroyed, object.ErrNotFound, ErrForged when the object was changed.
func (v *Vault) Open(ctx context.Context, key string) (*os.File, error) {
	f, err := v.memory(ctx, key)
	if err != nil {
		return nil, fmt.Errorf("open object %s: %w", key, err)
	}
	return f, nil
}

func (v *Vault) memory(ctx context.Context, key string) (*os.File, error) {
	r, err := v.open(ctx, key)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	f, err := memfd()
	if err != nil {
		return nil, err
	}
	if err := fill(f, r); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// memfd makes an anonymous file in memory that no child inherits by chance and nobody can execute.
func memfd() (*os.File, error) {
	const flags = unix.MFD_CLOEXEC | unix.MFD_ALLOW_SEALING
	fd, err := unix.MemfdCreate("onsite-object", flags|unix.MFD_NOEXEC_SEAL)
	if errors.Is(err, unix.EINVAL) { // Linux before 6.3
		fd, err = unix.MemfdCreate("onsite-object", flags)
	}
	if err != nil {
		return nil, fmt.Errorf("make a file in memory: %w", err)
	}
	return os.NewFile(uintptr(fd), "onsite-object"), nil
}

func fill(f *os.File, r io.Reader) error {
	// Not io.Copy: it would find os.File's ReadFrom and try system calls that know nothing of r.
	if _, err := io.CopyBuffer(struct{ io.Writer }{f}, r, make([]byte, segmentBytes)); err != nil {
		return err
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("rewind a file in memory: %w", err)
	}
	const seals = unix.F_SEAL_SEAL | unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_WRITE
	if _, err := unix.FcntlInt(f.Fd(), unix.F_ADD_SEALS, seals); err != nil {
		return fmt.Errorf("seal a file in memory: %w", err)
	}
	return nil
}

// Read is Open for small objects, whole in memory, at most limit bytes; ErrLong.
func (v *Vault) Read(ctx context.Context, key string, limit int64) ([]byte, error) {
	b, err := v.whole(ctx, key, limit)
	if err != nil {
		return nil, fmt.Errorf("read object %s: %w", key, err)
	}
	return b, nil
}

func (v *Vault) whole(ctx context.Context, key string, limit int64) ([]byte, error) {
	r, err := v.open(ctx, key)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	b, err := io.ReadAll(io.LimitReader(r, min(limit, math.MaxInt64-1)+1))
	if err != nil {
		return nil, err
	}
	if int64(len(b)) > limit {
		return nil, fmt.Errorf("%w: %d bytes", ErrLong, limit)
	}
	return b, nil
}

// Copy writes the plain bytes of an object to w as they are opened, for what is sent on to a client. w may have got bytes before an error:
// the caller must not end its answer as a whole one then.
func (v *Vault) Copy(ctx context.Context, w io.Writer, key string) (int64, error) {
	r, err := v.open(ctx, key)
	if err != nil {
		return 0, fmt.Errorf("open object %s: %w", key, err)
	}
	defer r.Close()
	n, err := io.CopyBuffer(struct{ io.Writer }{w}, r, make([]byte, segmentBytes))
	if err != nil {
		return n, fmt.Errorf("open object %s: %w", key, err)
	}
	return n, nil
}

// Media is a pipeline.Media over a sealed object: Open gives the plain bytes as a memfd.
type Media struct {
	Vault *Vault
	Key   string
	Label string // the name for people
}

// Name is for people.
func (m Media) Name() string { return m.Label }

// Open gives the plain bytes. The caller closes the file.
func (m Media) Open(ctx context.Context) (*os.File, error) { return m.Vault.Open(ctx, m.Key) }
