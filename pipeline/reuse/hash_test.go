package reuse

import (
	"bytes"
	"encoding/csv"
	"image"
	"image/color"
	"image/jpeg"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"onsite/models"
)

// evalDir is the folder with real evaluation data; tests that want it are skipped where it is not set.
func evalDir(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("ONSITE_EVAL")
	if dir == "" {
		t.Skip("ONSITE_EVAL is not set: no evaluation data")
	}
	return dir
}

// readJPEG reads a trusted picture of the evaluation data.
func readJPEG(t testing.TB, path string) models.Image {
	t.Helper()
	raw, err := os.ReadFile(path)
	require.NoError(t, err)
	m, err := jpeg.Decode(bytes.NewReader(raw))
	require.NoError(t, err)
	return fromGo(m)
}

func fromGo(m image.Image) models.Image {
	b := m.Bounds()
	v := models.Image{W: b.Dx(), H: b.Dy(), C: 3, Pix: make([]byte, 0, b.Dx()*b.Dy()*3)}
	for y := b.Min.Y; y < b.Max.Y; y++ {
		for x := b.Min.X; x < b.Max.X; x++ {
			c := color.RGBAModel.Convert(m.At(x, y)).(color.RGBA)
			v.Pix = append(v.Pix, c.B, c.G, c.R)
		}
	}
	return v
}

func readCSV(t *testing.T, path string) []map[string]string {
	t.Helper()
	f, err := os.Open(path)
	require.NoError(t, err)
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	require.NoError(t, err)
	var out []map[string]string
	for _, r := range rows[1:] {
		m := map[string]string{}
		for i, k := range rows[0] {
			m[k] = r[i]
		}
		out = append(out, m)
	}
	return out
}

func parseHex(t *testing.T, s string) Bits256 {
	t.Helper()
	s = strings.TrimPrefix(s, "p:")
	var b Bits256
	for i, c := range s {
		d := strings.IndexRune("0123456789abcdef", c)
		require.GreaterOrEqual(t, d, 0)
		b[i/16] |= uint64(d) << (60 - 4*(i%16))
	}
	return b
}

// The reference program allows 10 of 256 bits between decoders at quality 80 and more; goimagehash differs by its resampling.
func TestHashesConformToReferences(t *testing.T) {
	dir := filepath.Join(evalDir(t), "reuse")
	forms := map[string]int{"original": AsIs, "from_dct_rotate90": Rotate90, "from_dct_rotate180": Rotate180, "from_dct_rotate270": Rotate270,
		"from_dct_flipx": FlipX, "from_dct_flipy": FlipY, "from_dct_flipplus1": FlipPlus, "from_dct_flipminus1": FlipMinus}
	worst := 0
	for _, r := range readCSV(t, filepath.Join(dir, "pdq_reference.csv")) {
		all, q, err := PDQVariants(readJPEG(t, filepath.Join(dir, "bridge", r["file"])))
		require.NoError(t, err)
		require.Contains(t, forms, r["transform"])
		d := all[forms[r["transform"]]].Distance(parseHex(t, r["pdq_hex"]))
		require.LessOrEqual(t, d, 10, "%s %s", r["file"], r["transform"])
		require.Equal(t, 100, q)
		worst = max(worst, d)
	}
	t.Logf("PDQ: worst distance %d", worst)
	worst64, worst256 := 0, 0
	for _, r := range readCSV(t, filepath.Join(dir, "goimagehash_reference.csv")) {
		v := readJPEG(t, filepath.Join(dir, "bridge", r["file"]))
		a, err := PHash64{}.Hash(v)
		require.NoError(t, err)
		b, err := PHash256{}.Hash(v)
		require.NoError(t, err)
		d64, d256 := a.Words.Distance(parseHex(t, r["perception"])), b.Words.Distance(parseHex(t, r["ext_perception_16x16"]))
		require.LessOrEqual(t, d64, 2, r["file"])
		require.LessOrEqual(t, d256, 10, r["file"])
		require.Equal(t, len(r["perception"]), len(a.String()))
		require.Equal(t, len(r["ext_perception_16x16"]), len(b.String()))
		worst64, worst256 = max(worst64, d64), max(worst256, d256)
	}
	t.Logf("pHash: worst distance %d of 64, %d of 256", worst64, worst256)
}
