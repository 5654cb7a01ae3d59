package media

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"onsite/pipeline"
	"onsite/pipeline/media/wire"
)

// Options configure a Decoder.
type Options struct {
	Path    string        // of the child; empty: $ONSITE_DECODER, else onsite-decode beside the running program
	Limits  Limits        // zero fields: the defaults
	Timeout time.Duration // wall clock per file; zero: 90 s
}

// Request says what is wanted of one file. Start from DefaultRequest.
type Request struct {
	MaxSide      int           // longer side of a clip's frames, pixels
	PhotoMaxSide int           // longer side of a photo, pixels
	Motion       bool          // the grey motion track
	Audio        bool          // PCM
	StillEvery   time.Duration // one frame in so much time
	MaxStills    int           // frames of a clip at most; long clips spread them
	// Bursts is how many bursts of colour frames are wanted, spread over the clip, BurstLength how long each is, BurstMaxSide their longer side in
	// pixels. They need Motion. One burst as long as the clip covers it all. Bursts 0: none.
	Bursts       int
	BurstLength  time.Duration
	BurstMaxSide int
	// Spots is at how many steps of a clip, where its packets are the most surprising, every picture is wanted (Motion.Spots), at most 16, half as many in
	// clips of more than 8 s. They need Motion. 0: none.
	Spots int
}

// DefaultRequest asks for one frame per second, at most 60, the motion track, three bursts of a second, and eight spots.
func DefaultRequest() Request {
	return Request{MaxSide: 1280, PhotoMaxSide: 1920, Motion: true, StillEvery: time.Second, MaxStills: 60, Bursts: 3, BurstLength: time.Second, BurstMaxSide: 640, Spots: 8}
}

// Decoder runs one child process per file. It is safe for concurrent use and holds nothing open.
type Decoder struct {
	path    string
	limits  Limits
	timeout time.Duration
}

// NewDecoder finds the child program.
func NewDecoder(o Options) (*Decoder, error) {
	path := o.Path
	if path == "" {
		path = os.Getenv("ONSITE_DECODER")
	}
	if path == "" {
		self, err := os.Executable()
		if err != nil {
			return nil, fmt.Errorf("find the decoder child: %w", err)
		}
		path = filepath.Join(filepath.Dir(self), "onsite-decode")
	}
	path, err := filepath.Abs(path) // the child starts in another folder
	if err != nil {
		return nil, fmt.Errorf("find the decoder child: %w", err)
	}
	info, err := os.Stat(path) //nolint:gosec // the operator names the program
	if err != nil {
		return nil, fmt.Errorf("%w: find its program: %w (make build puts it beside onsite; ONSITE_DECODER names another place)", ErrDecoder, err)
	}
	if info.IsDir() || info.Mode()&0o111 == 0 {
		return nil, fmt.Errorf("%w: %s is no program", ErrDecoder, path)
	}
	if o.Timeout == 0 {
		o.Timeout = 90 * time.Second
	}
	return &Decoder{path: path, limits: o.Limits.filled(), timeout: o.Timeout}, nil
}

// source is one opened file that may be decoded.
type source struct {
	name      string
	file      *os.File
	size      int64
	container string
}

// open opens the media, looks at what kind of file it is and at its first bytes.
func (d *Decoder) open(ctx context.Context, m pipeline.Media) (*source, error) {
	f, err := m.Open(ctx)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w: %w", m.Name(), ErrUnreadable, err)
	}
	s, err := d.look(m.Name(), f)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return s, nil
}

func (d *Decoder) look(name string, f *os.File) (*source, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("open %s: %w: %w", name, ErrUnreadable, err)
	}
	switch {
	case info.IsDir():
		return nil, fmt.Errorf("open %s: %w: it is a directory, give a video or a photo", name, ErrUnreadable)
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("open %s: %w: it is no regular file", name, ErrUnreadable)
	case info.Size() == 0:
		return nil, refuse(name, "media_empty", "", "")
	case info.Size() > d.limits.Bytes:
		return nil, refuse(name, "too_many_bytes", amount(info.Size()), amount(d.limits.Bytes))
	}
	head := make([]byte, min(sniffBytes, info.Size()))
	if _, err := f.ReadAt(head, 0); err != nil {
		return nil, fmt.Errorf("read %s: %w: %w", name, ErrUnreadable, err)
	}
	container, found := sniff(head)
	switch {
	case container != "":
		return &source{name: name, file: f, size: info.Size(), container: container}, nil
	case found == "M3U8" || found == "concat" || found == "DASH" || found == "PLS":
		return nil, refuse(name, "media_playlist", found, "")
	case found == "":
		return nil, refuse(name, "media_unknown", "", "")
	}
	return nil, refuse(name, "media_unsupported", found, "")
}

// hash is the sha256 of the whole file. It reads by offset: the child shares the descriptor's position.
func (s *source) hash() (string, error) {
	sum := sha256.New()
	if n, err := io.Copy(sum, io.NewSectionReader(s.file, 0, s.size)); err != nil || n != s.size {
		return "", fmt.Errorf("hash %s: %w after %d of %d bytes: %w", s.name, ErrUnreadable, n, s.size, err)
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

func (d *Decoder) request(s *source, r Request) wire.Request {
	def := DefaultRequest()
	pick := func(v, d int) int {
		if v <= 0 {
			return d
		}
		return v
	}
	if r.StillEvery <= 0 {
		r.StillEvery = def.StillEvery
	}
	side := min(pick(r.MaxSide, def.MaxSide), mostSide)
	stills := min(pick(r.MaxStills, def.MaxStills), int(max(stillBytes/squares(1, side), 1))) // fewer of very large ones
	bursts, length := max(min(r.Bursts, mostBursts), 0), max(min(r.BurstLength, d.limits.Duration), 0)
	burstSide := min(pick(r.BurstMaxSide, def.BurstMaxSide), side, mostBurstSide)
	for bursts > 0 && squares(bursts*int(length.Milliseconds()*burstRate/1000+burstMargin), burstSide) > burstBytes {
		length = length * 3 / 4 // shorter rather than more memory
	}
	return wire.Request{
		Container: s.container, Size: s.size, Limits: d.limits.wire(), Motion: r.Motion, Audio: r.Audio,
		MaxSide: side, PhotoMaxSide: min(pick(r.PhotoMaxSide, def.PhotoMaxSide), mostSide),
		StillEveryMS: max(r.StillEvery.Milliseconds(), 1), MaxStills: stills,
		Bursts: bursts, BurstMS: length.Milliseconds(), BurstMaxSide: burstSide, Spots: max(min(r.Spots, mostSpots), 0),
	}
}

// Decode turns one file into a Clip, which the caller closes. Media that is not accepted gives a *Refusal, a path that cannot be read
// ErrUnreadable, and a decoder that does not work ErrDecoder.
func (d *Decoder) Decode(ctx context.Context, m pipeline.Media, r Request) (*Clip, error) {
	src, err := d.open(ctx, m)
	if err != nil {
		return nil, err
	}
	defer src.file.Close()
	req := d.request(src, r)
	b := newBuilder(src)
	type hashed struct {
		sum string
		err error
	}
	sums := make(chan hashed, 1)
	go func() {
		sum, err := src.hash()
		sums <- hashed{sum, err}
	}()
	done, err := d.runChild(ctx, src, req, b)
	sum := <-sums
	if err == nil {
		err = sum.err
	}
	if err != nil {
		b.clip.Close()
		return nil, err
	}
	b.finish(done, sum.sum)
	return b.clip, nil
}

// Bare is the processor time of demuxing and decoding the same packets of the same file in the same kind of process behind the same
// walls, without conversion and transport: what Decode's cost is measured against. The start of the process is not in it.
func (d *Decoder) Bare(ctx context.Context, m pipeline.Media, r Request) (time.Duration, error) {
	src, err := d.open(ctx, m)
	if err != nil {
		return 0, err
	}
	defer src.file.Close()
	req := d.request(src, r)
	req.Bare = true
	b := newBuilder(src)
	defer b.clip.Close()
	done, err := d.runChild(ctx, src, req, b)
	if err != nil {
		return 0, err
	}
	return time.Duration(done.end.CPUUS) * time.Microsecond, nil
}
