package reuse

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"onsite/pipeline"
	"onsite/pipeline/media"
)

// What could not be read counts as missing when it is, or may be, a clip or a photo; what only lies beside footage does not.
func TestFolderCountsWhatIsMissing(t *testing.T) {
	refused := func(rule, value string) error { return &media.Refusal{Rule: rule, Value: value} }
	for _, c := range []struct {
		file string
		err  error
		lost bool
	}{
		{"cut.mp4", refused("media_truncated", ""), true},
		{"broken", refused("media_damaged", ""), true},
		{"long.mov", refused("too_long", "20 min"), true},
		{"huge.jpg", refused("too_many_bytes", "3 GB"), true},
		{"odd.mkv", refused("codec_unsupported", "av1"), true},
		{"old.avi", refused("media_unsupported", "AVI"), true},
		{"old", refused("media_unsupported", "FLV"), true},
		{"overwritten.MP4", refused("media_unknown", ""), true},
		{"words.mp4", refused("media_unsupported", "text"), true},
		{"empty.mp4", refused("media_empty", ""), true},
		{"unsure.mp4", errors.New("permission denied"), true},
		{"notes.txt", refused("media_unsupported", "text"), false},
		{"notes.pdf", refused("media_unsupported", "PDF"), false},
		{"Thumbs.db", refused("media_unknown", ""), false},
		{"list.m3u8", refused("media_playlist", "M3U8"), false},
		{"marker", refused("media_empty", ""), false},
		{"voice.m4a", refused("only_sound", ""), false},
		{".hidden.mp4", refused("media_damaged", ""), false},
	} {
		t.Run(c.file, func(t *testing.T) {
			dir := t.TempDir()
			write(t, filepath.Join(dir, c.file), "x")
			f, err := OpenFolder(context.Background(), FolderOptions{Dir: dir, Decode: func(context.Context, pipeline.Media) (*media.Clip, error) {
				return nil, fmt.Errorf("decode: %w", c.err)
			}})
			require.NoError(t, err)
			require.Equal(t, c.lost, f.Missing() == 1)
		})
	}
}
