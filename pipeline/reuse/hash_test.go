package reuse

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"os"
	"path/filepath"
	"strconv"
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
		require.Len(t, a.String(), len(r["perception"]))
		require.Len(t, b.String(), len(r["ext_perception_16x16"]))
		worst64, worst256 = max(worst64, d64), max(worst256, d256)
	}
	t.Logf("pHash: worst distance %d of 64, %d of 256", worst64, worst256)
}

// Golden hashes of a made-up picture; they fix the written form. Recorded from this code after it conformed to the reference programs.
func TestGoldenHashes(t *testing.T) {
	want := readGolden(t)
	v := madeUp(640, 420)
	got := map[string]string{}
	for _, h := range Hashers() {
		x, err := h.Hash(v)
		require.NoError(t, err)
		require.Equal(t, h.Name(), x.Kind)
		got[h.Name()] = x.String()
	}
	all, quality, err := PDQVariants(v)
	require.NoError(t, err)
	for form, h := range all {
		got[fmt.Sprintf("pdq form %d", form)] = h.String()
	}
	got["pdq quality"] = strconv.Itoa(quality)
	require.Equal(t, want, got)
}

func readGolden(t *testing.T) map[string]string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", "hash.json"))
	require.NoError(t, err)
	var out map[string]string
	require.NoError(t, json.Unmarshal(raw, &out))
	return out
}

// madeUp is a coloured picture of whole numbers only, the same on every machine.
func madeUp(w, h int) models.Image {
	v := models.Image{W: w, H: h, C: 3, Pix: make([]byte, w*h*3)}
	for i := range w * h {
		x, y := i%w, i/w
		v.Pix[3*i] = byte(x*x/700 + y)
		v.Pix[3*i+1] = byte((x/40*37 + y/35*91) % 256)
		v.Pix[3*i+2] = byte(y*255/h + x*y/900)
	}
	return v
}

// The hashes of the forms must be those of pictures that were really turned.
func TestPDQFormsEqualTurnedPictures(t *testing.T) {
	v := madeUp(420, 420)
	all, _, err := PDQVariants(v)
	require.NoError(t, err)
	for form := range all {
		u := models.Image{W: v.W, H: v.H, C: 3, Pix: make([]byte, len(v.Pix))}
		for y := range v.H {
			for x := range v.W {
				fx, fy := forms[form].apply((float64(x)+0.5)/float64(v.W), (float64(y)+0.5)/float64(v.H))
				copy(u.Pix[3*(int(fy*float64(v.H))*v.W+int(fx*float64(v.W))):][:3], v.Pix[3*(y*v.W+x):][:3])
			}
		}
		h, err := PDQ{}.Hash(u)
		require.NoError(t, err)
		// The tent filter is not symmetric to the pixel (its even boxes lean to one side), in the reference program neither.
		require.LessOrEqual(t, h.Words.Distance(all[form]), 24, "form %d", form)
		for other := range all {
			if other != form {
				require.Greater(t, h.Words.Distance(all[other]), 60, "form %d looks like %d", form, other)
			}
		}
	}
}

// A hash that was stored knows its forms almost as well as the coefficients do.
func TestFormsOfAStoredHash(t *testing.T) {
	all, _, err := PDQVariants(madeUp(640, 420))
	require.NoError(t, err)
	require.Equal(t, all[FlipPlus], all[AsIs].form(FlipPlus), "a transposition moves no median")
	for form := range all {
		require.LessOrEqual(t, all[AsIs].form(form).Distance(all[form]), 20, "form %d", form)
		for other := range all {
			if other != form {
				require.Greater(t, all[AsIs].form(form).Distance(all[other]), 60, "form %d looks like %d", form, other)
			}
		}
	}
}

func TestGreyAndColourAgree(t *testing.T) {
	v := madeUp(300, 200)
	l, err := toLuma(nil, v, 1000)
	require.NoError(t, err)
	grey := models.Image{W: v.W, H: v.H, C: 1}
	for _, p := range l.p {
		grey.Pix = append(grey.Pix, byte(p+0.5))
	}
	for _, h := range Hashers() {
		a, err := h.Hash(v)
		require.NoError(t, err)
		b, err := h.Hash(grey)
		require.NoError(t, err)
		require.LessOrEqual(t, a.Words.Distance(b.Words), 8, h.Name())
	}
}

// Averaging blocks first must not change what is hashed, also where the sides are no multiple of a block.
func TestLargePicturesHashLikeSmallOnes(t *testing.T) {
	for _, size := range [][2]int{{1283, 771}, {1919, 1081}} {
		v := madeUp(size[0], size[1])
		small, err := toLuma(nil, v, hashKeepSide)
		require.NoError(t, err)
		require.Greater(t, small.k, 1)
		whole, err := toLuma(nil, v, 10000)
		require.NoError(t, err)
		a, _ := pdqVariants(small)
		b, _ := pdqVariants(whole)
		require.LessOrEqual(t, a[AsIs].Distance(b[AsIs]), 6)
		require.LessOrEqual(t, phash(small, 16).Distance(phash(whole, 16)), 6)
	}
}

// Pictures that are halved take a way of their own, which must give what adding pixel by pixel gives.
func TestHalvingAddsEveryPixel(t *testing.T) {
	for _, size := range [][2]int{{24, 22}, {25, 23}, {31, 22}, {38, 23}} {
		v := madeUp(size[0], size[1])
		l, err := toLuma(nil, v, 11)
		require.NoError(t, err)
		require.Equal(t, 2, l.k)
		for y := range l.h {
			for x := range l.w {
				var sum, n float64
				for yy := 2 * y; yy < 2*y+2 || y == l.h-1 && yy < v.H; yy++ {
					for xx := 2 * x; xx < 2*x+2 || x == l.w-1 && xx < v.W; xx++ {
						p := v.Pix[3*(yy*v.W+xx):]
						sum += float64(p[0])*lumaB + float64(p[1])*lumaG + float64(p[2])*lumaR
						n++
					}
				}
				require.InDelta(t, sum/n/lumaUnit, l.p[y*l.w+x], 1e-3, "%d, %d of %v", x, y, size)
			}
		}
	}
}

func TestHashersRefuseBadViews(t *testing.T) {
	for _, v := range []models.Image{{}, {W: 4, H: 100, C: 1, Pix: make([]byte, 400)}, {W: 10, H: 10, C: 4, Pix: make([]byte, 400)}, {W: 10, H: 10, C: 3, Pix: make([]byte, 299)}} {
		for _, h := range Hashers() {
			_, err := h.Hash(v)
			require.Error(t, err)
		}
	}
	flat, err := PDQ{}.Hash(models.Image{W: 64, H: 64, C: 1, Pix: make([]byte, 64*64)})
	require.NoError(t, err)
	require.Zero(t, flat.Quality)
}
