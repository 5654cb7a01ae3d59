package reuse

import (
	"errors"
	"path/filepath"
	"slices"
	"strings"

	"onsite/pipeline/media"
)

// lost says whether a skipped file is earlier footage that could not be read. A file that was refused because its first bytes are no
// media that is known is footage only if its name says so (an overwritten clip) or if it is pictures of a kind that is not accepted. A
// file with sound alone has nothing to compare. Whatever else went wrong, nobody knows what was in the file, so it counts.
func lost(s Skipped) bool {
	var refused *media.Refusal
	if !errors.As(s.Err, &refused) {
		return true
	}
	switch refused.Rule {
	case "only_sound":
		return false
	case "media_unsupported":
		return slices.Contains(picturesRefused, refused.Value) || namedAsMedia(s.Name)
	case "media_unknown", "media_playlist", "media_empty":
		return namedAsMedia(s.Name)
	default:
		return true
	}
}

// picturesRefused are the kinds of files, as package media names them, that hold pictures and that the decoder does not accept.
var picturesRefused = []string{
	"AVI", "EBML", "RIFF", "AVIF", "HEIC sequence", "CR3", "GIF", "BMP", "TIFF", "FLV", "Ogg", "WMV", "JPEG XL", "MPEG", "MPEG-TS", "H.264",
}

// mediaSuffixes are the usual endings of clips and photos, those that the decoder does not accept among them.
var mediaSuffixes = []string{
	".mp4", ".m4v", ".mov", ".qt", ".webm", ".mkv", ".3gp", ".3g2", ".avi", ".wmv", ".flv", ".mpg", ".mpeg", ".ts", ".mts", ".m2ts", ".ogv",
	".jpg", ".jpeg", ".png", ".webp", ".heic", ".heif", ".avif", ".gif", ".bmp", ".tif", ".tiff", ".jxl", ".dng", ".cr3",
}

func namedAsMedia(name string) bool {
	return slices.Contains(mediaSuffixes, strings.ToLower(filepath.Ext(name)))
}
