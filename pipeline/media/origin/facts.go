package origin

import (
	"math"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Bounds of what is kept.
const (
	maxText   = 120 // bytes of one text
	maxBoxes  = 24  // top-level boxes
	maxTracks = 16
	maxEdits  = 16
)

// Facts are what a file says of how it was made. Everything in it was written by whoever made the file.
type Facts struct {
	Boxes   []string `json:"boxes,omitempty"`   // top-level boxes of an mp4 in their order, the same ones in a row once
	Tracks  []Track  `json:"tracks,omitempty"`  // of an mp4
	Created int64    `json:"created,omitempty"` // seconds since 1970, UTC; of the container; 0: not said
	Encoder string   `json:"encoder,omitempty"` // what the encoder wrote into the stream itself: x264, x265
	Tool    string   `json:"tool,omitempty"`    // XMP CreatorTool
	C2PA    bool     `json:"c2pa,omitempty"`    // a C2PA manifest is there; it was not validated
	Photo   *Photo   `json:"photo,omitempty"`
	Video   *Video   `json:"video,omitempty"`
	Sound   *Sound   `json:"sound,omitempty"`
}

// Track is one track of an mp4.
type Track struct {
	Kind       string `json:"kind"`                 // vide, soun, meta, ...
	Handler    string `json:"handler,omitempty"`    // the name of its handler
	Format     string `json:"format,omitempty"`     // of its first sample entry: avc1, hvc1, mp4a, ...
	Compressor string `json:"compressor,omitempty"` // name of the compressor in a picture's sample entry
	Vendor     string `json:"vendor,omitempty"`     // of the sample entry
	Created    int64  `json:"created,omitempty"`    // seconds since 1970, UTC
	Modified   int64  `json:"modified,omitempty"`
	Timescale  uint32 `json:"timescale,omitempty"` // ticks per second
	Edits      []Edit `json:"edits,omitempty"`
}

// Edit is one entry of an edit list: what of the track is shown, and for how long.
type Edit struct {
	FromMS   int64 `json:"from_ms"` // -1: nothing is shown
	LengthMS int64 `json:"length_ms"`
	Rate     bool  `json:"rate,omitempty"` // not at normal speed
}

// Photo is what EXIF says.
type Photo struct {
	Make     string  `json:"make,omitempty"`
	Model    string  `json:"model,omitempty"`
	Software string  `json:"software,omitempty"`
	Lens     string  `json:"lens,omitempty"`
	Taken    string  `json:"taken,omitempty"`  // DateTimeOriginal as it stands, 2006:01:02 15:04:05, by the camera's clock
	Zone     string  `json:"zone,omitempty"`   // OffsetTimeOriginal, +08:00
	Source   string  `json:"source,omitempty"` // XMP DigitalSourceType, the last part of its address
	HasGPS   bool    `json:"has_gps,omitempty"`
	Lat      float64 `json:"lat,omitempty"` // degrees, WGS 84
	Lon      float64 `json:"lon,omitempty"`
	Accuracy float64 `json:"accuracy,omitempty"` // GPSHPositioningError, metres
	Exposed  bool    `json:"exposed,omitempty"`  // exposure time, aperture or sensitivity are there, as a camera writes
}

// Video is what the picture stream's headers say.
type Video struct {
	Range     int `json:"range"` // colour range, primaries, transfer, matrix as ISO/IEC 23091-2 numbers them; 0 or 2: not said
	Primaries int `json:"primaries"`
	Transfer  int `json:"transfer"`
	Matrix    int `json:"matrix"`
	Reorder   int `json:"reorder"` // frames that wait for a later one (B frames)
}

// Sound is what the sound stream's headers say.
type Sound struct {
	Rate     int `json:"rate"` // samples per second
	Channels int `json:"channels"`
}

// Clean cuts facts to their bounds, whoever gave them.
func (f Facts) Clean() Facts {
	if len(f.Boxes) > maxBoxes {
		f.Boxes = f.Boxes[:maxBoxes]
	}
	var boxes []string
	for _, b := range f.Boxes {
		boxes = append(boxes, text(b))
	}
	f.Boxes = boxes
	if len(f.Tracks) > maxTracks {
		f.Tracks = f.Tracks[:maxTracks]
	}
	var tracks []Track
	for _, t := range f.Tracks {
		t.Kind, t.Handler, t.Format, t.Compressor, t.Vendor = text(t.Kind), text(t.Handler), text(t.Format), text(t.Compressor), text(t.Vendor)
		if len(t.Edits) > maxEdits {
			t.Edits = t.Edits[:maxEdits]
		}
		tracks = append(tracks, t)
	}
	f.Tracks, f.Encoder, f.Tool = tracks, text(f.Encoder), text(f.Tool)
	if f.Photo != nil {
		p := *f.Photo
		for _, s := range []*string{&p.Make, &p.Model, &p.Software, &p.Lens, &p.Taken, &p.Zone, &p.Source} {
			*s = text(*s)
		}
		if !(math.Abs(p.Lat) <= 90 && math.Abs(p.Lon) <= 180) || p.Lat == 0 && p.Lon == 0 { // NaN, too
			p.HasGPS, p.Lat, p.Lon = false, 0, 0
		}
		if !(p.Accuracy >= 0 && p.Accuracy <= 100_000) {
			p.Accuracy = 0
		}
		f.Photo = &p
	}
	return f
}

// text makes an outside text short, valid and printable, without space around it.
func text(s string) string {
	if len(s) > 4*maxText {
		s = s[:4*maxText]
	}
	s = strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, ""))
	if len(s) > maxText {
		s = strings.ToValidUTF8(s[:maxText], "")
	}
	return strings.TrimSpace(s)
}
