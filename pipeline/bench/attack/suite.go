package attack

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/jpeg"
	"image/png"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"onsite/pipeline"
)

// Table is the name of the suite's table in its folder.
const Table = "suite.csv"

// Columns of the table, in order. The first five are those of `onsite bench reuse --pairs`. For a different pair transform is the
// relation (Later and so on) and severity the tag of what was done to the query. family is the query's; suites that were made before this
// version have no OriginalFamily.
var Columns = []string{"query", "original", "label", "transform", "severity", "family", "kind", OriginalFamily}

// OriginalFamily is the column with the family of the original.
const OriginalFamily = "original_family"

// Options say what a suite is made of.
type Options struct {
	Clips   string // folder of clips; empty: none
	Photos  string // folder of photos; empty: none
	Scenes  string // CSV file,scene,person[,take,at]; empty: each file is a family of its own
	Seed    uint64
	Kinds   []string // names (crop) or tags (crop20) of transforms; empty: all
	Seconds float64  // length of a library cut; 0: 5
	Easy    int      // pairs with other scenes per query; 0: 2
	// Progress is told how many files are there of how many; may be nil.
	Progress func(done, total int)
}

// Made is what a run did.
type Made struct {
	Clips     int      `json:"clips"`
	Photos    int      `json:"photos"`
	Families  int      `json:"families"`
	Originals int      `json:"originals"`
	Queries   int      `json:"queries"`
	Pairs     int      `json:"pairs"`
	Written   int      `json:"written"` // files made now
	Kept      int      `json:"kept"`    // files that an earlier run had made
	Skipped   []string `json:"skipped"` // what could not be made, and why
	Table     string   `json:"table"`
}

// Sizes of library cuts: longer side in pixels, frames per second at most.
const (
	clipSide  = 512
	photoSide = 640
	maxRate   = 30
	defaultS  = 5.0
	shortestS = 1.5 // seconds that a clip must have
)

// cut is one original of the library.
type cut struct {
	file, path string // base name of the source; where the source lies
	name       string // of the cut, without extension
	photo      bool
	from, long float64 // seconds
	place      place
	sound      bool
	got        footage // of the cut as it was written
}

// rel is the cut's path inside the suite.
func (c cut) rel() string {
	if c.photo {
		return "library/" + c.name + ".jpg"
	}
	return "library/" + c.name + ".mp4"
}

// query is one attack on one cut.
type query struct {
	of   int // index of the cut
	how  transform
	host int // index of the other cut in it; -1: none
}

// InputError says which option names something that no suite can be made of: Clips, Photos, Scenes, Kinds, Seconds or Easy.
type InputError struct {
	Option string
	Err    error
}

func (e *InputError) Error() string { return "make a reuse suite: " + e.Err.Error() }
func (e *InputError) Unwrap() error { return e.Err }

// Make writes a suite into dir: library/, query/, suite.csv and suite.json, which says what it was made from. Files that are there are kept,
// so that an interrupted run goes on where it was, or more kinds are added; but not where they were made from other sources or with other
// options: that is a MixedError. The same seed makes the same choices. The error is ErrNoFFmpeg where ffmpeg is missing, and an
// InputError where an option is wrong; a file that ffmpeg cannot read is a SourceError, before anything is made.
func Make(ctx context.Context, dir string, o Options) (Made, error) {
	t, err := findTools()
	if err != nil {
		return Made{}, err
	}
	if o.Seconds == 0 {
		o.Seconds = defaultS
	}
	if o.Easy == 0 {
		o.Easy = 2
	}
	if o.Seconds < shortestS || o.Seconds > 60 {
		return Made{}, &InputError{"Seconds", fmt.Errorf("%g s, want %g to 60", o.Seconds, shortestS)}
	}
	if o.Easy < 1 {
		return Made{}, &InputError{"Easy", fmt.Errorf("%d comparisons, want 1 or more", o.Easy)}
	}
	how, err := chosen(o.Kinds)
	if err != nil {
		return Made{}, &InputError{"Kinds", err}
	}
	s := &suite{tools: t, dir: dir, o: o, made: Made{Table: filepath.Join(dir, Table), Skipped: []string{}}}
	if err := s.find(ctx); err != nil {
		return Made{}, err
	}
	for _, sub := range []string{"library", "query"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
			return Made{}, fmt.Errorf("make a reuse suite: %w", err)
		}
	}
	if err := s.sameOrigin(); err != nil {
		return Made{}, err
	}
	if err := s.readEarlier(); err != nil {
		return Made{}, err
	}
	s.plan(how)
	s.total = len(s.cuts) + len(s.queries)
	if err := s.each(ctx, len(s.cuts), s.makeCut); err != nil {
		return Made{}, err
	}
	if err := s.each(ctx, len(s.queries), s.makeQuery); err != nil {
		return Made{}, err
	}
	s.made.Originals, s.made.Queries = len(s.cuts), len(s.queries)
	return s.made, s.table()
}

type suite struct {
	tools   tools
	dir     string
	o       Options
	cuts    []cut
	queries []query
	earlier []pipeline.Row // of the table that is there

	mu    sync.Mutex // of what follows
	made  Made
	done  int
	total int
}

// chosen are the transforms that were asked for.
func chosen(kinds []string) ([]transform, error) {
	all := transforms()
	if len(kinds) == 0 {
		return all, nil
	}
	var out []transform
	known := map[string]bool{}
	for _, t := range all {
		known[t.name], known[t.tag()] = true, true
		if slices.Contains(kinds, t.name) || slices.Contains(kinds, t.tag()) {
			out = append(out, t)
		}
	}
	for _, k := range kinds {
		if !known[k] {
			return nil, fmt.Errorf("there is no kind %q; there are %s", k, strings.Join(Kinds(), ", "))
		}
	}
	return out, nil
}

// Kinds are the tags of all transforms.
func Kinds() []string {
	var out []string
	for _, t := range transforms() {
		out = append(out, t.tag())
	}
	return out
}

// Mixes says whether a transform (its name, without severity) may show a second clip beside the one that it is made from.
func Mixes(name string) bool {
	for _, t := range transforms() {
		if t.name == name && t.needsHost {
			return true
		}
	}
	return name == combined
}

// combined is the name of the transform that is made of three others.
const combined = "combo3"

// clean makes a file's base name one that any shell and table takes.
func clean(file string) string {
	base := strings.TrimSuffix(file, filepath.Ext(file))
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_' {
			return r
		}
		return '_'
	}, base)
}

// list gives the files of a folder, hidden ones left out.
func list(dir string) ([]string, error) {
	if dir == "" {
		return nil, nil
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err //nolint:wrapcheck // names the folder; the caller says which option it is
	}
	var out []string
	for _, e := range entries {
		if e.Type().IsRegular() && !strings.HasPrefix(e.Name(), ".") {
			out = append(out, e.Name())
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("%s has no files", dir)
	}
	return out, nil
}

// find lists the sources and says where each is cut.
func (s *suite) find(ctx context.Context) error {
	clips, err := list(s.o.Clips)
	if err != nil {
		return &InputError{"Clips", err}
	}
	photos, err := list(s.o.Photos)
	if err != nil {
		return &InputError{"Photos", err}
	}
	if len(clips)+len(photos) == 0 {
		return errors.New("make a reuse suite: name a folder of clips or of photos")
	}
	places, err := families(s.o.Scenes, append(append([]string{}, clips...), photos...))
	if err != nil {
		return &InputError{"Scenes", err}
	}
	names := map[string]string{}
	for i, file := range append(append([]string{}, clips...), photos...) {
		c := cut{file: file, name: clean(file), photo: i >= len(clips), place: places[file]}
		c.path = filepath.Join(s.o.Clips, file)
		if c.photo {
			c.path, c.name = filepath.Join(s.o.Photos, file), "photo_"+c.name
		}
		if other, ok := names[c.name]; ok {
			return fmt.Errorf("make a reuse suite: %s and %s would both be called %s in the library; rename one", other, file, c.name)
		}
		names[c.name] = file
		f, err := s.tools.probe(ctx, c.path)
		if err != nil {
			return unread(ctx, c.path, err)
		}
		c.sound = f.sound
		if c.photo {
			s.made.Photos++
			s.cuts = append(s.cuts, c)
			continue
		}
		s.made.Clips++
		if f.seconds < shortestS {
			s.made.Skipped = append(s.made.Skipped, fmt.Sprintf("%s: %.1f s is too short", file, f.seconds))
			continue
		}
		first, later := stretches(f.seconds, s.o.Seconds)
		c.long = first
		s.cuts = append(s.cuts, c)
		if later > 0 {
			c.name, c.from, c.long = c.name+"_later", f.seconds-later, later
			s.cuts = append(s.cuts, c)
		}
	}
	all := map[string]bool{}
	for _, c := range s.cuts {
		all[c.place.family] = true
	}
	s.made.Families = len(all)
	return nil
}

// stretches are the lengths of the cut at the beginning and, if there is room for two of at least 3 s with a second between them, of the
// one at the end.
func stretches(have, want float64) (first, later float64) {
	const gap, least = 1, 3
	half := min(want, (have-gap)/2)
	if half < min(want, least) {
		return min(have, want), 0
	}
	return half, half
}

// plan says which attacks are made on which cuts. The later part of a take serves as an honest negative; it is itself only re-encoded.
func (s *suite) plan(how []transform) {
	clips := slices.ContainsFunc(s.cuts, func(c cut) bool { return !c.photo })
	photos := slices.ContainsFunc(s.cuts, func(c cut) bool { return c.photo })
	for _, t := range how {
		if len(s.o.Kinds) > 0 && (!t.video || !clips) && (!t.photo || !photos) {
			s.made.Skipped = append(s.made.Skipped, fmt.Sprintf("%s: there is no footage of its kind (clips: %t, photos: %t)", t.tag(), t.video, t.photo))
		}
	}
	for i, c := range s.cuts {
		first := true
		for _, t := range how {
			if c.photo && !t.photo || !c.photo && !t.video {
				continue
			}
			if c.from > 0 && (!first || t.apply == nil) {
				continue
			}
			first = false
			q := query{of: i, how: t, host: -1}
			if t.needsHost {
				if q.host = s.hostOf(i); q.host < 0 {
					s.made.Skipped = append(s.made.Skipped, fmt.Sprintf("%s of %s: no clip of another family to mix it with", t.tag(), c.name))
					continue
				}
			}
			s.queries = append(s.queries, q)
		}
	}
}

// hostOf chooses a clip of another family; -1 if there is none.
func (s *suite) hostOf(i int) int {
	var may []int
	for k, c := range s.cuts {
		if !c.photo && c.from == 0 && c.place.family != s.cuts[i].place.family {
			may = append(may, k)
		}
	}
	if len(may) == 0 {
		return -1
	}
	return may[rng(s.o.Seed, s.cuts[i].name, "host").IntN(len(may))]
}

// each does n things, as many at once as there are cores: each ffmpeg has one thread, which also makes its output reproducible.
func (s *suite) each(ctx context.Context, n int, do func(context.Context, int) (bool, error)) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(runtime.NumCPU())
	for i := range n {
		group.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			written, err := do(ctx, i)
			if err != nil {
				return err
			}
			s.mu.Lock()
			defer s.mu.Unlock()
			s.done++
			if written {
				s.made.Written++
			} else {
				s.made.Kept++
			}
			if s.o.Progress != nil {
				s.o.Progress(s.done, s.total)
			}
			return nil
		})
	}
	return group.Wait()
}

// makeCut writes one original.
func (s *suite) makeCut(ctx context.Context, i int) (bool, error) {
	c := &s.cuts[i]
	path := filepath.Join(s.dir, filepath.FromSlash(c.rel()))
	have, err := exists(path)
	if err != nil {
		return false, err
	}
	if !have {
		side := clipSide
		if c.photo {
			side = photoSide
		}
		shrink := fmt.Sprintf("scale=w='trunc(iw*min(1,%[1]d/max(iw,ih))/2+0.5)*2':h='trunc(ih*min(1,%[1]d/max(iw,ih))/2+0.5)*2':flags=area,setsar=1", side)
		if c.photo {
			g := newGraph(nil, footage{})
			g.do("%s", shrink)
			if err := s.photo(ctx, path, c.path, g, 92); err != nil {
				return false, err
			}
		} else {
			f, err := s.tools.probe(ctx, c.path)
			if err != nil {
				return false, err
			}
			args := []string{"-ss", fmt.Sprintf("%g", c.from), "-i", c.path, "-t", fmt.Sprintf("%g", c.long), "-vf", fmt.Sprintf("%s,fps=%g", shrink, min(maxRate, f.fps))}
			if err := s.tools.write(ctx, path, append(append(args, coding(20)...), "-c:a", "aac", "-b:a", "96k")...); err != nil {
				return false, err
			}
		}
	}
	if c.got, err = s.tools.probe(ctx, path); err != nil {
		return false, err
	}
	if c.photo {
		c.got.seconds, c.got.fps = 0, 0
	}
	return !have, nil
}

// coding is how pictures are coded, with x264's rate factor.
func coding(crf int) []string {
	return []string{"-threads", "1", "-c:v", "libx264", "-preset", "superfast", "-crf", fmt.Sprint(crf), "-pix_fmt", "yuv420p", "-map_metadata", "-1", "-fflags", "+bitexact", "-flags:v", "+bitexact"}
}

// rel is the query's path inside the suite.
func (s *suite) rel(q query) string {
	name := "query/" + s.cuts[q.of].name + "__" + strings.ReplaceAll(q.how.tag(), ".", "")
	switch {
	case s.cuts[q.of].photo:
		return name + ".jpg"
	case q.how.apply == nil:
		return name + ".mov"
	default:
		return name + ".mp4"
	}
}

// makeQuery writes one attack.
func (s *suite) makeQuery(ctx context.Context, i int) (bool, error) {
	q := s.queries[i]
	c := &s.cuts[q.of]
	path, original := filepath.Join(s.dir, filepath.FromSlash(s.rel(q))), filepath.Join(s.dir, filepath.FromSlash(c.rel()))
	if have, err := exists(path); err != nil || have {
		return false, err
	}
	if q.how.apply == nil {
		return true, s.tools.write(ctx, path, "-i", original, "-map", "0", "-c", "copy", "-metadata", "title=copy")
	}
	g := newGraph(rng(s.o.Seed, c.name, q.how.tag()), c.got)
	if q.host >= 0 {
		g.host = filepath.Join(s.dir, filepath.FromSlash(s.cuts[q.host].rel()))
	}
	q.how.apply(g)
	if c.photo {
		return true, s.photo(ctx, path, original, g, g.quality)
	}
	args, clean, err := g.arguments(original)
	if err != nil {
		return false, err
	}
	defer clean()
	args = append(args, coding(g.crf)...)
	return true, s.tools.write(ctx, path, append(args, "-t", fmt.Sprintf("%g", g.seconds))...)
}

// arguments are ffmpeg's up to the coding; clean removes the painted pictures.
func (g *graph) arguments(original string) (args []string, clean func(), err error) {
	clean = func() {}
	args = []string{"-filter_complex_threads", "1", "-i", original}
	if len(g.paint) > 0 {
		dir, err := os.MkdirTemp("", "onsite-suite-")
		if err != nil {
			return nil, nil, fmt.Errorf("make a reuse suite: %w", err)
		}
		clean = func() { _ = os.RemoveAll(dir) }
		for i, m := range g.paint {
			var b bytes.Buffer
			err := png.Encode(&b, m)
			if err == nil {
				err = os.WriteFile(filepath.Join(dir, fmt.Sprintf("%d.png", i)), b.Bytes(), 0o600)
			}
			if err != nil {
				clean()
				return nil, nil, fmt.Errorf("make a reuse suite: paint: %w", err)
			}
		}
		for _, in := range g.inputs {
			for k := range in {
				if n, ok := strings.CutPrefix(in[k], "PAINT "); ok {
					in[k] = filepath.Join(dir, n+".png")
				}
			}
		}
	}
	for _, in := range g.inputs {
		args = append(args, in...)
	}
	g.do("null")
	chains := strings.Join(g.chains, ";")
	maps := []string{"-map", "[" + g.at + "]"}
	if g.sound && g.seconds > 0 {
		filters := "anull"
		if len(g.audio) > 0 {
			filters = strings.Join(g.audio, ",")
		}
		chains += ";[0:a]" + filters + "[sound]"
		maps = append(maps, "-map", "[sound]", "-c:a", "aac", "-b:a", "64k")
	}
	return append(append(args, "-filter_complex", chains), maps...), clean, nil
}

// photo runs the graph on one picture and writes it as JPEG of the given quality (libjpeg's scale, which ffmpeg's own encoder lacks).
func (s *suite) photo(ctx context.Context, path, original string, g *graph, quality int) error {
	args, clean, err := g.arguments(original)
	if err != nil {
		return err
	}
	defer clean()
	ppm, err := output(ctx, s.tools.ffmpeg, append(append([]string{"-nostdin", "-v", "error"}, args...), "-frames:v", "1", "-f", "image2pipe", "-c:v", "ppm", "-pix_fmt", "rgb24", "-")...)
	if err != nil {
		return fmt.Errorf("make %s: %w", path, err)
	}
	var w, h, most int
	if _, err := fmt.Sscanf(string(ppm[:min(len(ppm), 40)]), "P6\n%d %d\n%d\n", &w, &h, &most); err != nil || w < 1 || h < 1 || len(ppm) < 3*w*h {
		return fmt.Errorf("make %s: ffmpeg gave no picture", path)
	}
	pix := ppm[len(ppm)-3*w*h:]
	m := image.NewRGBA(image.Rect(0, 0, w, h))
	for i := range w * h {
		m.Pix[4*i], m.Pix[4*i+1], m.Pix[4*i+2], m.Pix[4*i+3] = pix[3*i], pix[3*i+1], pix[3*i+2], 255
	}
	var b bytes.Buffer
	if err := jpeg.Encode(&b, m, &jpeg.Options{Quality: quality}); err != nil {
		return fmt.Errorf("make %s: %w", path, err)
	}
	return replace(path, b.Bytes())
}
