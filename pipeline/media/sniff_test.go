package media

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSniff(t *testing.T) {
	for _, c := range []struct{ head, container, found string }{
		{"\xff\xd8\xff\xe0rest", "jpeg", ""},
		{"\x89PNG\r\n\x1a\nrest", "png", ""},
		{"RIFF\x10\x00\x00\x00WEBPVP8 ", "webp", ""},
		{"RIFF\x10\x00\x00\x00AVI LIST", "", "AVI"},
		{"\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00mp42isom", "mp4", ""},
		{"\x00\x00\x00\x14ftypqt  \x00\x00\x02\x00qt  ", "mov", ""},
		{"\x00\x00\x00\x08wide\x00\x00\x10\x00mdat", "mov", ""},
		{"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic", "heic", ""},
		{"\x00\x00\x00\x18ftypmif1\x00\x00\x00\x00mif1heic", "heic", ""},
		{"\x00\x00\x00\x18ftypmif1\x00\x00\x00\x00mif1avif", "", "AVIF"},
		{"\x00\x00\x00\x18ftypavif\x00\x00\x00\x00mif1miaf", "", "AVIF"},
		{"\x1a\x45\xdf\xa3\x9f\x42\x86\x81\x01\x42\x82\x84webm", "webm", ""},
		{"\x1a\x45\xdf\xa3\x9f\x42\x86\x81\x01\x42\x82\x88matroska", "mkv", ""},
		{"\x1a\x45\xdf\xa3\x9f\x42\x86\x81\x01", "", "EBML"},
		{"#EXTM3U\n", "", "M3U8"},
		{"ffconcat version 1.0", "", "concat"},
		{"GIF89a", "", "GIF"},
		{"just words\n", "", "text"},
		{"\x00\x01\x02\x03", "", ""},
		{"", "", "text"},
	} {
		container, found := sniff([]byte(c.head))
		require.Equal(t, []string{c.container, c.found}, []string{container, found}, "%q", c.head)
	}
}

func FuzzSniff(f *testing.F) {
	for _, s := range []string{"\xff\xd8\xff", "\x1a\x45\xdf\xa3\x42\x82\x84webm", "\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1", "RIFF1234WEBP", "#EXTM3U"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, head []byte) {
		container, found := sniff(head)
		require.False(t, container != "" && found != "", "both %q and %q", container, found)
		if container != "" {
			require.Contains(t, []string{"mp4", "mov", "webm", "mkv", "jpeg", "png", "webp", "heic"}, container)
		}
	})
}
