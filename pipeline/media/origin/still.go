package origin

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"strings"

	"github.com/bep/imagemeta"
)

var formats = map[string]imagemeta.ImageFormat{"jpeg": imagemeta.JPEG, "png": imagemeta.PNG, "webp": imagemeta.WebP, "heic": imagemeta.HEIF}

// wanted are the tags that are read; everything else is passed over unread.
var wanted = map[string]bool{
	"Make": true, "Model": true, "Software": true, "LensModel": true, "DateTimeOriginal": true, "OffsetTimeOriginal": true, "OffsetTime": true,
	"GPSLatitude": true, "GPSLongitude": true, "GPSLatitudeRef": true, "GPSLongitudeRef": true, "GPSHPositioningError": true,
	"ExposureTime": true, "FNumber": true, "ISO": true, "ISOSpeedRatings": true, "PhotographicSensitivity": true, "CreatorTool": true, "DigitalSourceType": true,
}

// Still reads the facts of a photo: jpeg, png, webp or heic. It never fails: what cannot be read is left out.
func Still(container string, data []byte) (f Facts) {
	defer func() {
		if recover() != nil { // the library promises not to; a photo is not refused for its metadata
			f.Photo = nil
		}
		f = f.Clean()
	}()
	f.C2PA = manifest(container, data)
	format, ok := formats[container]
	if !ok {
		return f
	}
	tags := map[string]any{}
	_, err := imagemeta.Decode(imagemeta.Options{
		R: bytes.NewReader(data), ImageFormat: format, Sources: imagemeta.EXIF | imagemeta.XMP, LimitNumTags: 2000, LimitTagSize: 2000,
		ShouldHandleTag: func(t imagemeta.TagInfo) bool {
			return wanted[t.Tag] && (t.Source != imagemeta.EXIF || strings.HasPrefix(t.Namespace, "IFD0"))
		},
		HandleTag: func(t imagemeta.TagInfo) error {
			if _, there := tags[t.Tag]; !there {
				tags[t.Tag] = t.Value
			}
			return nil
		},
	})
	_ = err // what was read before it broke off counts
	if len(tags) == 0 {
		return f
	}
	word := func(name string) string {
		if v, ok := tags[name]; ok {
			return text(fmt.Sprint(v))
		}
		return ""
	}
	p := &Photo{Make: word("Make"), Model: word("Model"), Software: word("Software"), Lens: word("LensModel"), Taken: word("DateTimeOriginal"), Zone: word("OffsetTimeOriginal")}
	if p.Zone == "" {
		p.Zone = word("OffsetTime")
	}
	f.Tool = word("CreatorTool")
	if s := word("DigitalSourceType"); s != "" {
		p.Source = s[strings.LastIndexByte(s, '/')+1:]
	}
	for _, n := range []string{"ExposureTime", "FNumber", "ISO", "ISOSpeedRatings", "PhotographicSensitivity"} {
		p.Exposed = p.Exposed || tags[n] != nil
	}
	lat, ok1 := number(tags["GPSLatitude"])
	lon, ok2 := number(tags["GPSLongitude"])
	if ok1 && ok2 {
		p.HasGPS, p.Lat, p.Lon = true, turned(lat, word("GPSLatitudeRef"), "S"), turned(lon, word("GPSLongitudeRef"), "W")
		p.Accuracy, _ = number(tags["GPSHPositioningError"])
	}
	f.Photo = p
	return f
}

// turned makes a coordinate negative where its reference says so.
func turned(v float64, ref, negative string) float64 {
	if strings.HasPrefix(strings.ToUpper(ref), negative) {
		return -math.Abs(v)
	}
	return v
}

// number reads a value of the library: numbers, and rationals that know their Float64.
func number(v any) (float64, bool) {
	switch v := v.(type) {
	case nil:
		return 0, false
	case float64:
		return v, !math.IsNaN(v) && !math.IsInf(v, 0)
	case float32:
		return float64(v), true
	case interface{ Float64() float64 }:
		f := v.Float64()
		return f, !math.IsNaN(f) && !math.IsInf(f, 0)
	}
	return 0, false
}

// manifest looks for a C2PA manifest where the specification puts it: JUMBF in APP11 of a JPEG, caBX of a PNG, C2PA of a WebP, a uuid box
// of a HEIC.
func manifest(container string, data []byte) bool {
	switch container {
	case "jpeg":
		for at := 2; at+4 <= len(data) && data[at] == 0xff; {
			marker, n := data[at+1], int(binary.BigEndian.Uint16(data[at+2:]))
			if marker == 0xda || n < 2 || at+2+n > len(data) {
				return false
			}
			if marker == 0xeb && bytes.Contains(data[at+4:at+2+n], []byte("jumb")) && bytes.Contains(data[at+4:at+2+n], []byte("c2pa")) {
				return true
			}
			at += 2 + n
		}
	case "png":
		for at := 8; at+12 <= len(data); {
			n := int64(binary.BigEndian.Uint32(data[at:]))
			if string(data[at+4:at+8]) == "caBX" {
				return true
			}
			if int64(at)+12+n > int64(len(data)) {
				return false
			}
			at += 12 + int(n)
		}
	case "webp":
		for at := 12; at+8 <= len(data); {
			n := int64(binary.LittleEndian.Uint32(data[at+4:]))
			if string(data[at:at+4]) == "C2PA" {
				return true
			}
			if int64(at)+8+n > int64(len(data)) {
				return false
			}
			at += 8 + int(n+n&1)
		}
	case "heic":
		return Movie(int64(len(data)), func(at int64, dst []byte) bool {
			return at >= 0 && at <= int64(len(data)) && copy(dst, data[at:]) == len(dst)
		}).C2PA
	}
	return false
}
