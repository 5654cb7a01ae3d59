package media

import (
	"time"

	"onsite/pipeline/media/wire"
)

// Limits bound what is accepted and what the decoder child may use. Zero fields take the default.
type Limits struct {
	Bytes         int64         `json:"bytes" yaml:"bytes"`                     // of the file
	PhotoPixels   int64         `json:"photo_pixels" yaml:"photo_pixels"`       // width x height
	Duration      time.Duration `json:"duration" yaml:"duration"`               // of a clip
	VideoLong     int           `json:"video_long" yaml:"video_long"`           // pixels, longer side of a clip
	VideoShort    int           `json:"video_short" yaml:"video_short"`         // pixels, shorter side of a clip
	Packets       int           `json:"packets" yaml:"packets"`                 // coded pictures of a clip
	Streams       int           `json:"streams" yaml:"streams"`                 // in the container
	MemoryBytes   int64         `json:"memory_bytes" yaml:"memory_bytes"`       // of the child
	CPU           time.Duration `json:"cpu" yaml:"cpu"`                         // of the child
	DecodedPixels int64         `json:"decoded_pixels" yaml:"decoded_pixels"`   // coded pixels to decode for the motion track, and again for stills outside it
	PhotoLongSide int           `json:"photo_long_side" yaml:"photo_long_side"` // pixels
}

// DefaultLimits are the product's limits: 200 MB, photos of 50 MP, clips of 5 minutes and 4K.
func DefaultLimits() Limits {
	return Limits{
		Bytes:       200_000_000,
		PhotoPixels: 50_000_000,
		Duration:    5 * time.Minute,
		VideoLong:   4096, VideoShort: 2304, // 4096 x 2160 (DCI) with its coded padding
		Packets:       5*60*120 + 1000, // 5 minutes at 120 pictures a second (slow motion of phones)
		Streams:       16,              // phones write up to 6: picture, sound, depth and several of metadata
		MemoryBytes:   1 << 30,
		CPU:           60 * time.Second,
		DecodedPixels: 450 * 1280 * 720 * 3 / 2, // one and a half times the reference clip: 15 s, 30 pictures a second, 720p
		PhotoLongSide: 16384,                    // libav's and libheif's own limit
	}
}

// filled gives every zero field its default.
func (l Limits) filled() Limits {
	d := DefaultLimits()
	for _, f := range []struct{ v, d *int64 }{
		{&l.Bytes, &d.Bytes}, {&l.PhotoPixels, &d.PhotoPixels}, {&l.MemoryBytes, &d.MemoryBytes}, {&l.DecodedPixels, &d.DecodedPixels},
	} {
		if *f.v == 0 {
			*f.v = *f.d
		}
	}
	for _, f := range []struct{ v, d *int }{
		{&l.VideoLong, &d.VideoLong}, {&l.VideoShort, &d.VideoShort}, {&l.Packets, &d.Packets}, {&l.Streams, &d.Streams}, {&l.PhotoLongSide, &d.PhotoLongSide},
	} {
		if *f.v == 0 {
			*f.v = *f.d
		}
	}
	if l.Duration == 0 {
		l.Duration = d.Duration
	}
	if l.CPU == 0 {
		l.CPU = d.CPU
	}
	return l
}

func (l Limits) wire() wire.Limits {
	return wire.Limits{
		Bytes: l.Bytes, PhotoPixels: l.PhotoPixels, DurationMS: l.Duration.Milliseconds(), VideoLong: l.VideoLong, VideoShort: l.VideoShort,
		Packets: l.Packets, Streams: l.Streams, MemoryBytes: l.MemoryBytes, CPUSeconds: int(max(l.CPU.Seconds(), 1)),
		BudgetPixels: l.DecodedPixels, PhotoLongSide: l.PhotoLongSide,
	}
}
