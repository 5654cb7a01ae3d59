package api

import (
	"bytes"
	"encoding/json"
	"io"
	"mime/multipart"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestFileNames(t *testing.T) {
	for in, want := range map[string]string{"clip.mp4": "clip.mp4", "../../etc/passwd": "....etcpasswd", "a\x00b\nc": "abc", "录像.mp4": "录像.mp4", "<b>\"x\"": "bx", "\xff\xfe": ""} {
		require.Equal(t, want, fileName(in))
	}
	require.Len(t, []rune(fileName(strings.Repeat("长", 500))), maxNameRunes)
}

// FuzzForm reads hostile forms: whatever comes, there is a claim that is JSON and a file, or a problem of the client's.
func FuzzForm(f *testing.F) {
	s, _ := bare(f, away{})
	s.Handler()
	for _, parts := range [][]string{{"subject", "e1", "@media", "x"}, {"claim", `{"subject":"e1"}`, "@media", "x"}, {"@media", "x", "subject", "e1"}, {"subject", "e1"}} {
		var b bytes.Buffer
		w := multipart.NewWriter(&b)
		require.NoError(f, w.SetBoundary("B"))
		for i := 0; i < len(parts); i += 2 {
			require.NoError(f, w.WriteField(strings.TrimPrefix(parts[i], "@"), parts[i+1]))
		}
		require.NoError(f, w.Close())
		f.Add(b.Bytes())
		f.Add(b.Bytes()[:b.Len()/2])
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		files := 0
		err := readForm(multipart.NewReader(bytes.NewReader(body), "B"), func(claim []byte, place, name string, file io.Reader) error {
			files++
			require.True(t, strings.HasPrefix(place, "form"))
			require.LessOrEqual(t, len([]rune(name)), maxNameRunes)
			var in ClaimInput
			if err := decode(s, claim, place, &in); err != nil {
				p := fault(err)
				require.Less(t, p.Status, 500)
				return err
			}
			require.True(t, json.Valid(claim))
			require.Regexp(t, `^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`, in.Subject)
			_, err := io.Copy(io.Discard, bound(file, 1000, "form.media"))
			return err
		})
		if err == nil {
			require.Equal(t, 1, files)
			return
		}
		p := fault(badBody(err))
		require.Less(t, p.Status, 500, "%v", err)
		require.GreaterOrEqual(t, p.Status, 400)
		require.True(t, json.Valid(mustJSON(t, p.in("zh", "r"))))
	})
}

func mustJSON(t testing.TB, v any) []byte {
	t.Helper()
	b, err := json.Marshal(v)
	require.NoError(t, err)
	return b
}

func FuzzClaim(f *testing.F) {
	s, _ := bare(f, away{})
	s.Handler()
	f.Add([]byte(`{"subject":"e1","site":"s","taken_at":"2026-11-22T09:00:00Z","location":{"latitude":1,"longitude":2},"beacons":["b"],"device":{"id":"d"}}`))
	f.Add([]byte(`{"subject":1e999}`))
	f.Add([]byte(`[[[[`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		var in SubmissionInput
		if err := decode(s, raw, "body", &in); err != nil {
			p := fault(err)
			require.Less(t, p.Status, 500, "%v", err)
			return
		}
		require.Regexp(t, `^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`, in.Subject)
		require.NotEmpty(t, in.Object.Bucket)
		if l := in.Location; l != nil {
			require.True(t, l.Latitude >= -90 && l.Latitude <= 90)
		}
	})
}
