package media

import (
	"time"

	"gocv.io/x/gocv"

	"onsite/pipeline"
	"onsite/pipeline/media/origin"
)

// Kind says what the bytes turned out to be; names and extensions are never asked.
type Kind string

// The kinds of media.
const (
	Video Kind = "video"
	Photo Kind = "photo"
)

// Info is what the decoder measured.
type Info struct {
	SHA256        string
	PacketsSHA256 string // over the coded packets of the picture stream: remuxing does not change it; empty for photos
	Kind          Kind
	Bytes         int64
	Container     string // mp4, mov, webm, mkv, jpeg, png, webp, heic
	Codec         string
	Width, Height int // display orientation, before any scaling
	Duration      time.Duration
	FPS           float64 // mean rate of the packets
	Rotation      int     // degrees clockwise that the decoder applied; EXIF orientation or display matrix
	Mirrored      bool    // the decoder also undid a mirroring (after turning: left and right exchanged)
	HasAudio      bool
	Tags          map[string]string  // container and stream tags, keys lower case
	Origin        origin.Facts       // how the file was made, as it says itself
	Location      *pipeline.Location // where the file says that it was made; nil: it does not say
}

// Frame is one decoded picture. Image is H x W x 3, BGR, uint8 0..255, display orientation, at most Request.MaxSide on its long side.
// The Clip owns it and closes it. Nobody writes into its pixels but Blur.
type Frame struct {
	Index       int
	PTS         time.Duration
	Image       gocv.Mat
	SceneChange bool

	half *half // of a clip's still and of a photo
}

// Motion is a grey picture track of at least 10 frames per second where frames were decoded (see Windows), for everything that needs time: static pictures,
// loops, temporal alignment. Frames are W x H, uint8 0..255 grey, display orientation, long side at most 160. Pictures that no planned
// still or burst needs are decoded without the filter between blocks: in the mean of a clip that moves a cell by less than a tenth of a grey level,
// in single frames by up to 0.7.
type Motion struct {
	W, H    int
	Frames  []MotionFrame // by PTS
	Windows []Window      // the parts of the clip that Frames cover without gaps of more than 150 ms (unless the clip itself is slower)
	// Spots are the steps from one picture that others build on to the next whose packets are the most surprising, Request.Spots at most, by surprise,
	// in H.264 and HEVC. Frames and Between together have every picture of a spot, and three before and behind it.
	Spots   []Window
	Between []MotionFrame // by PTS; the pictures of spots that are not in Frames
}

// MotionFrame is one frame of the motion track.
type MotionFrame struct {
	PTS  time.Duration
	Gray []byte
	// Earlier and Later are the shares of the picture that its coding took from earlier and from later pictures, 0 to 255 for all of it; a block may
	// take from both. They are H.264's lists 0 and 1, which hold earlier and later pictures first unless an encoder orders them otherwise. Both 0:
	// taken from none, or not known, as in every stream but H.264 with B-frames.
	Earlier, Later uint8
}

// Burst is one run of colour frames at about 10 per second (up to 13), for what happens within a second: blinks, a mouth that moves, a head that
// turns. Each of its frames is one of the motion track's too. Image is H x W x 3, BGR, uint8 0..255, display orientation, at most
// Request.BurstMaxSide on its long side; its Index counts over all bursts. The Clip owns it and closes it.
type Burst struct{ Frames []Frame }

// Window is a part of a clip.
type Window struct{ From, To time.Duration }

// Packet is one coded packet of the picture stream, in decoding order.
type Packet struct {
	PTS   time.Duration
	Bytes int
	Key   bool
}

// Usage is what the child cost.
type Usage struct {
	CPU     time.Duration // user + system of the child process, its start included
	Wall    time.Duration
	Convert time.Duration // the part of CPU that made pictures of the wanted size and colours; clips only
	PeakRSS int64         // bytes
}

// Clip is one decoded clip or photo (then with exactly one frame, no motion, no packets). It must be closed.
type Clip struct {
	Info    Info
	Frames  []Frame
	Motion  Motion
	Bursts  []Burst // by PTS; empty for photos
	Packets []Packet
	PCM     []float32 // mono 16 kHz, -1..1; only when asked for and there is audio
	Usage   Usage
	Sandbox []string // which walls stood around the child: seccomp, landlock, no_new_privs, rlimits
	Libav   string   // versions of the libraries in the child
}

// Close frees the pictures.
func (c *Clip) Close() {
	for i := range c.Frames {
		c.Frames[i].close()
	}
	c.Frames = nil
	for _, b := range c.Bursts {
		for i := range b.Frames {
			b.Frames[i].close()
		}
	}
	c.Bursts = nil
}
