package media

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"gocv.io/x/gocv"

	"onsite/pipeline"
	"onsite/pipeline/media/origin"
	"onsite/pipeline/media/wire"
)

// builder makes a Clip of the child's stream; it is the wire.Sink.
type builder struct {
	clip      *Clip
	bursts    int // burst frames so far
	lastBurst time.Duration
	grey      []byte // room for motion frames: one allocation for many
}

// greyFrames is how many motion frames one allocation is for: about three seconds.
const greyFrames = 32

func newBuilder(s *source) *builder {
	return &builder{clip: &Clip{Info: Info{Kind: kindOf(s.container), Bytes: s.size, Container: s.container}}}
}

const (
	// motionSide is the longer side of the child's motion frames, pixels.
	motionSide = 160
	// motionRate is how many motion frames the child sends in a second at most: of three in a row the first and the last are more than
	// 0.1 s apart (makePlan in cmd/onsite-decode).
	motionRate = 20
	// motionMargin is for the first and the last frame of every window, of which there are three.
	motionMargin = 64
	// burstRate is how many burst frames the child sends in a second at most (minBurstGapUS in cmd/onsite-decode), burstMargin is for the
	// first and the last frame of each burst.
	burstRate, burstMargin = 14, 2
	// spotFrames is how many pictures the child sends for a spot beside the track at most (spotMost and spotBeside in cmd/onsite-decode), mostSpots how
	// many spots may be asked for.
	spotFrames, mostSpots = 24, 16
	// burstGap is the time between two burst frames from which they belong to two bursts.
	burstGap = 400 * time.Millisecond
	// mostBytes is what the pixels of one file may take here, whatever is asked for. A clip of the default request takes a fifth:
	// 60 frames of 1280 x 720 and 3000 of 160 x 90.
	mostBytes = 1 << 30
	// mostSide is the longest side of a picture that can be asked for; libav and libheif give no longer ones.
	mostSide = 1 << 14
	// stillBytes is the part of it that stills may be asked for.
	stillBytes = mostBytes / 2
	// burstBytes is the part of it that bursts may be asked for: 15 s of 640 x 640.
	burstBytes = mostBytes / 4
	// mostBursts is how many bursts may be asked for, mostBurstSide how large their frames.
	mostBursts, mostBurstSide = 16, 1280
)

// bounds derives from the request what the child may send.
func bounds(s *source, req wire.Request) wire.Bounds {
	if kindOf(s.container) == Photo {
		return wire.Bounds{StillSide: req.PhotoMaxSide, Stills: 1, Bytes: min(squares(1, req.PhotoMaxSide), mostBytes)}
	}
	b := wire.Bounds{StillSide: req.MaxSide, Stills: req.MaxStills, MotionSide: motionSide, Packets: req.Limits.Packets}
	if req.Motion {
		b.Motions = int(min(req.Limits.DurationMS*motionRate/1000+motionMargin+int64(req.Spots)*spotFrames, int64(req.Limits.Packets)))
	}
	if req.Motion {
		length := min(req.BurstMS, req.Limits.DurationMS)
		b.BurstSide, b.Bursts = min(req.BurstMaxSide, req.MaxSide), req.Bursts*int(length*burstRate/1000+burstMargin)
	}
	b.Bytes = min(squares(b.Stills, b.StillSide)+int64(b.Motions)*motionSide*motionSide+squares(b.Bursts, b.BurstSide), mostBytes)
	if req.Audio {
		b.Samples = req.Limits.DurationMS*16 + 16000
	}
	return b
}

// squares is the size of n square pictures of 3 bytes a pixel: the largest that a longer side allows.
func squares(n, side int) int64 { return int64(n) * int64(side) * int64(side) * 3 }

func (b *builder) Hello(h wire.Hello) error {
	for _, wall := range h.Sandbox {
		b.clip.Sandbox = append(b.clip.Sandbox, plain(wall))
	}
	b.clip.Libav = line(h.Libav, 200)
	return nil
}

func (b *builder) Info(i wire.Info) error {
	c := &b.clip.Info
	c.Codec, c.Width, c.Height, c.FPS, c.Rotation, c.Mirrored, c.HasAudio = plain(i.Codec), i.Width, i.Height, i.FPS, i.Rotation, i.Mirrored, i.HasAudio
	c.Duration = micros(i.DurationUS)
	c.Tags = map[string]string{}
	for k, v := range i.Tags {
		c.Tags[clean(k)] = clean(v)
	}
	if i.Origin != nil {
		c.Origin = i.Origin.Clean()
	}
	c.Location = location(c)
	for _, w := range i.Windows {
		b.clip.Motion.Windows = append(b.clip.Motion.Windows, Window{micros(w[0]), micros(w[1])})
	}
	for _, s := range i.Spots[:min(len(i.Spots), mostSpots)] {
		b.clip.Motion.Spots = append(b.clip.Motion.Spots, Window{micros(s[0]), micros(s[1])})
	}
	return nil
}

// location is where a file says that it was made: EXIF of a photo, or what phones write into a clip, with their accuracy where they say it.
func location(i *Info) *pipeline.Location {
	if p := i.Origin.Photo; p != nil && p.HasGPS {
		return &pipeline.Location{Latitude: p.Lat, Longitude: p.Lon, AccuracyM: p.Accuracy}
	}
	for _, key := range []string{"com.apple.quicktime.location.iso6709", "location", "location-eng"} {
		lat, lon, ok := origin.Position(i.Tags[key])
		if !ok {
			continue
		}
		l := &pipeline.Location{Latitude: lat, Longitude: lon}
		if a, err := strconv.ParseFloat(i.Tags["com.apple.quicktime.location.accuracy.horizontal"], 64); err == nil && a > 0 && a <= 100_000 {
			l.AccuracyM = a
		}
		return l
	}
	return nil
}

func (b *builder) Packets(list []wire.Packet) error {
	b.clip.Packets = make([]Packet, len(list))
	for i, p := range list {
		b.clip.Packets[i] = Packet{PTS: micros(p.PTSUS), Bytes: int(p.Bytes), Key: p.Key}
	}
	return nil
}

func (b *builder) Still(h wire.FrameHead, pix func([]byte) error) error {
	m, err := colour(h, pix)
	if err != nil {
		return err
	}
	b.clip.Frames = append(b.clip.Frames, Frame{Index: len(b.clip.Frames), PTS: micros(h.PTSUS), Image: m, SceneChange: h.SceneChange, half: halfOf(m)})
	return nil
}

// Burst adds a frame to the burst that it follows closely, or begins another.
func (b *builder) Burst(h wire.FrameHead, pix func([]byte) error) error {
	m, err := colour(h, pix)
	if err != nil {
		return err
	}
	f := Frame{Index: b.bursts, PTS: micros(h.PTSUS), Image: m}
	if b.bursts == 0 || f.PTS-b.lastBurst > burstGap {
		b.clip.Bursts = append(b.clip.Bursts, Burst{})
	}
	last := &b.clip.Bursts[len(b.clip.Bursts)-1]
	last.Frames = append(last.Frames, f)
	b.bursts, b.lastBurst = b.bursts+1, f.PTS
	return nil
}

// colour takes the pixels of a BGR picture into a Mat that the caller owns.
func colour(h wire.FrameHead, pix func([]byte) error) (gocv.Mat, error) {
	m := gocv.NewMatWithSize(h.H, h.W, gocv.MatTypeCV8UC3)
	data, err := m.DataPtrUint8()
	if err == nil {
		err = pix(data)
	}
	if err != nil {
		_ = m.Close()
		return gocv.Mat{}, fmt.Errorf("take a picture: %w", err)
	}
	return m, nil
}

func (b *builder) Motion(h wire.FrameHead, pix func([]byte) error) error {
	n := h.W * h.H
	if len(b.grey) < n {
		b.grey = make([]byte, greyFrames*n)
	}
	gray := b.grey[:n:n]
	b.grey = b.grey[n:]
	if err := pix(gray); err != nil {
		return fmt.Errorf("take a motion frame: %w", err)
	}
	b.clip.Motion.W, b.clip.Motion.H = h.W, h.H
	f, list := MotionFrame{PTS: micros(h.PTSUS), Gray: gray, Earlier: h.Earlier, Later: h.Later}, &b.clip.Motion.Frames
	if h.Between {
		list = &b.clip.Motion.Between
	}
	*list = append(*list, f)
	return nil
}

func (b *builder) PCM(samples []float32) error {
	b.clip.PCM = append(b.clip.PCM, samples...)
	return nil
}

// finish adds what is known at the end.
func (b *builder) finish(d done, sha string) {
	b.clip.Info.SHA256, b.clip.Info.PacketsSHA256 = sha, plain(d.end.PacketsSHA256)
	b.clip.Usage = d.usage
	b.clip.Usage.Convert = max(0, min(micros(d.end.ConvertUS), d.usage.CPU)) // the child's word
	if d.end.PeakRSS > 0 {                                                   // the kernel's own count starts with the size of this process
		b.clip.Usage.PeakRSS = min(d.end.PeakRSS, d.usage.PeakRSS)
	}
}

// clean takes control characters out of a text of the file: it may end on a terminal.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == utf8.RuneError {
			return -1
		}
		return r
	}, s)
}

// micros is a time of the child, clamped to what a Duration holds.
func micros(us int64) time.Duration {
	const most = math.MaxInt64 / int64(time.Microsecond)
	return time.Duration(max(min(us, most), -most)) * time.Microsecond
}
