package wire

import "onsite/pipeline/media/origin"

// Limits bound what the child accepts. A zero field is not allowed; the parent fills in its defaults.
type Limits struct {
	Bytes         int64 `json:"bytes"`           // of the file
	PhotoPixels   int64 `json:"photo_pixels"`    // width x height of a photo
	DurationMS    int64 `json:"duration_ms"`     // of a clip
	VideoLong     int   `json:"video_long"`      // pixels, longer side of a clip
	VideoShort    int   `json:"video_short"`     // pixels, shorter side of a clip
	Packets       int   `json:"packets"`         // coded packets of the picture stream
	Streams       int   `json:"streams"`         // streams in the container
	MemoryBytes   int64 `json:"memory_bytes"`    // RLIMIT_DATA of the child
	CPUSeconds    int   `json:"cpu_seconds"`     // RLIMIT_CPU of the child
	BudgetPixels  int64 `json:"budget_pixels"`   // coded pixels to decode for the motion track, and again as many for stills outside it
	PhotoLongSide int   `json:"photo_long_side"` // pixels, longer side of a photo
}

// Request is what the parent asks for. The input is file descriptor 3.
type Request struct {
	Container    string `json:"container"` // decided by the parent from the bytes: mp4, mov, webm, mkv, jpeg, png, webp, heic
	Size         int64  `json:"size"`      // bytes of the input
	Limits       Limits `json:"limits"`
	MaxSide      int    `json:"max_side"`       // of a clip's stills
	PhotoMaxSide int    `json:"photo_max_side"` // of a photo
	Motion       bool   `json:"motion"`
	Audio        bool   `json:"audio"`
	StillEveryMS int64  `json:"still_every_ms"`
	MaxStills    int    `json:"max_stills"`
	Bursts       int    `json:"bursts"`         // how many bursts of colour frames, from the motion track; 0: none
	BurstMS      int64  `json:"burst_ms"`       // length of each
	BurstMaxSide int    `json:"burst_max_side"` // of burst frames
	Spots        int    `json:"spots"`          // at how many steps, where packets are the most surprising, every picture is wanted as a motion frame; 0: none
	Bare         bool   `json:"bare,omitempty"` // only demux and decode the same packets, behind the same walls, without conversion and transport: the measure
	Hang         bool   `json:"hang,omitempty"` // tests: never answer
}

// Hello is the child's first record: which walls stand, and with which libraries.
type Hello struct {
	Sandbox []string `json:"sandbox"`
	Missing []string `json:"missing,omitempty"` // walls that this kernel does not have
	Libav   string   `json:"libav"`
}

// Info is what the child found in the headers.
type Info struct {
	Codec      string            `json:"codec"`
	Width      int               `json:"width"` // display orientation
	Height     int               `json:"height"`
	DurationUS int64             `json:"duration_us"`
	FPS        float64           `json:"fps"`
	Rotation   int               `json:"rotation"` // degrees clockwise
	Mirrored   bool              `json:"mirrored"`
	HasAudio   bool              `json:"has_audio"`
	Tags       map[string]string `json:"tags,omitempty"`
	Windows    [][2]int64        `json:"windows,omitempty"` // microseconds covered by the motion track
	Spots      [][2]int64        `json:"spots,omitempty"`   // microseconds: the steps around which every picture is a motion frame
	Origin     *origin.Facts     `json:"origin,omitempty"`  // how the file was made, as it says itself
}

// Refusal says why the child does not give the media. Rule is a name that the parent knows; the sentence is made there.
type Refusal struct {
	Rule  string `json:"rule"`
	Value string `json:"value,omitempty"` // what was found
	Limit string `json:"limit,omitempty"` // what is allowed
}

// End closes the stream of a clip or photo that was decoded.
type End struct {
	PacketsSHA256 string `json:"packets_sha256,omitempty"`
	Decoded       int    `json:"decoded"` // frames that the decoder gave
	Sent          int    `json:"sent"`    // packets that it was given
	CPUUS         int64  `json:"cpu_us"`  // of demuxing and decoding (and conversion, unless bare), start of the process left out
	TotalCPUUS    int64  `json:"total_cpu_us"`
	ConvertUS     int64  `json:"convert_us,omitempty"` // the part of CPUUS that made pictures of the wanted size and colours; clips only
	PeakRSS       int64  `json:"peak_rss"`             // bytes, 0 when not known
}

// FrameHead comes before the pixels of a still, a motion or a burst frame.
type FrameHead struct {
	PTSUS       int64
	W, H        int
	SceneChange bool
	Between     bool // a motion frame beside the track, of a spot
	// Earlier and Later are the shares of a motion frame that its coding took from earlier and from later pictures, 1/255 each; both 0: not known.
	Earlier, Later uint8
}

// Packet is one coded packet of the picture stream in decoding order.
type Packet struct {
	PTSUS int64
	Bytes uint32
	Key   bool
}

// Attempt is one thing that the self-test tried from inside the walls.
type Attempt struct {
	What   string `json:"what"`
	Denied bool   `json:"denied"`
	Answer string `json:"answer"` // the system's error, empty when it went through
}

// Probe is the answer of the child's self-test (--probe-sandbox).
type Probe struct {
	Hello
	Error    string    `json:"error,omitempty"`
	Attempts []Attempt `json:"attempts"`
}
