package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"onsite/api/client"
	"onsite/api/roster"
	"onsite/pipeline"
)

// crew is what a morning with the whole core needs: real clips, employees who are enrolled from other parts of the footage, and sites with a
// picture of the place. There are fewer clips than employees: each clip is submitted again and again, by another employee each time.
type crew struct {
	dir       string // of everybody's file
	clips     []recorded
	employees int
	sites     int
}

// recorded is a clip with photos of its person.
type recorded struct {
	name   string
	person []string // paths of photos; after enter the one that can be enrolled
	place  string   // path of a picture of where it was taken: its first frame
}

// Bounds of what a crew makes and enrolls.
const (
	crewBytes = 8 << 30 // of all uploads together, on the disk of the run's folder
	crewPart  = 10      // employees of one request
)

// newCrew takes the clips of --clips, or those of "onsite bench core". With sites 0 each site sees each clip once, so that nobody's footage is
// there already; with 1 every clip but the first of its kind is a copy of an earlier one, which costs a comparison.
func (c *loadCmd) newCrew(ctx context.Context, e *env, dir string) (*crew, error) {
	clips, _, err := (&benchCoreCmd{Clips: c.Clips}).clips(ctx, e, dir)
	if err != nil {
		return nil, err
	}
	w := &crew{dir: dir, employees: c.Employees, sites: c.Sites}
	if w.sites == 0 {
		w.sites = (c.Employees + len(clips) - 1) / len(clips)
	}
	var paths []string
	for i, clip := range clips {
		path, ok := clip.Media.(pipeline.File)
		if !ok || len(clip.Person) == 0 {
			return nil, usagef(pipeline.Text{
				EN: "--clips: no photo of a person can be taken from the end of " + clip.Media.Name() + "; leave it out", ZH: "--clips：无法从 " + clip.Media.Name() + " 的末尾截取人员照片；请去掉该文件",
			})
		}
		r := recorded{name: filepath.Base(string(path)), place: filepath.Join(dir, fmt.Sprintf("place%d.jpg", i))}
		for _, photo := range clip.Person {
			if at, ok := photo.(pipeline.File); ok {
				r.person = append(r.person, string(at))
			}
		}
		if err := withFFmpeg(ctx, "-i", string(path), "-frames:v", "1", "-q:v", "2", r.place); err != nil {
			return nil, err
		}
		w.clips, paths = append(w.clips, r), append(paths, string(path))
	}
	return w, w.uploads(ctx, paths)
}

// uploads makes everybody's file: the same pictures in packets of its own, as a second recording would have. The same packets again would be
// the same upload, which is found in the whole tenant and at no cost. A note to the decoder (SEI) at each keyframe makes the difference.
func (w *crew) uploads(ctx context.Context, paths []string) error {
	total := int64(0)
	for n := range w.employees {
		from, to := paths[n%len(paths)], w.path(n)
		note := fmt.Sprintf("086f3693-b7b3-4f2c-9653-21492feee5b8+employee %d", n)
		if err := withFFmpeg(ctx, "-i", from, "-map", "0:v:0", "-c", "copy", "-bsf:v", "h264_metadata=sei_user_data="+note, to); err != nil {
			return notDiffering(ctx, from, err)
		}
		info, err := os.Stat(to)
		if err != nil {
			return err
		}
		if total += info.Size(); total > crewBytes {
			return usagef(pipeline.Text{EN: "--employees: their uploads are larger than 8 GiB together; take fewer, or smaller clips", ZH: "--employees：上传文件总大小超过 8 GiB；请减少人数或使用较小的视频"})
		}
	}
	return nil
}

// notDiffering tells why ffmpeg made no upload from a clip: the clip is to blame only where its video is not what the note can be put into.
func notDiffering(ctx context.Context, from string, err error) error {
	codec, probed := exec.CommandContext(ctx, "ffprobe", "-v", "error", "-select_streams", "v:0", "-show_entries", "stream=codec_name", "-of", "csv=p=0", from).Output() //nolint:gosec // G204: a path
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if name, _, _ := strings.Cut(strings.TrimRight(string(codec), ",\r\n"), "\n"); probed == nil && name != "" && name != "h264" {
		return usagef(pipeline.Text{
			EN: "--clips: the video of " + from + " is " + name + ", of which no uploads that differ can be made; take clips with H.264 video",
			ZH: "--clips：" + from + " 的视频编码为 " + name + "，无法生成互不相同的上传文件；请使用 H.264 视频",
		})
	}
	return fmt.Errorf("make an upload of %s: %w", from, err)
}

func (w *crew) clip(n int) recorded     { return w.clips[n%len(w.clips)] }
func (w *crew) subject(n int) string    { return fmt.Sprintf("m%05d", n) }
func (w *crew) site(n int) string       { return w.siteID(n / len(w.clips) % w.sites) }
func (w *crew) siteID(k int) string     { return fmt.Sprintf("morning-%04d", k) }
func (w *crew) path(n int) string       { return filepath.Join(w.dir, fmt.Sprintf("upload%05d.mp4", n)) }
func (w *crew) media(n int) client.File { return client.File{Name: w.clip(n).name, Path: w.path(n)} }

// enter writes the sites and enrolls the employees through the API. Somebody who is refused is an error.
func (w *crew) enter(ctx context.Context, api *client.Client, show func(done, total int)) error {
	if err := w.choose(ctx, api); err != nil {
		return err
	}
	for k := range w.sites {
		place := w.clip(k).place
		document, err := json.Marshal(map[string]any{ // JSON is YAML
			"id": w.siteID(k), "sign": map[string]any{"names": []string{"ONSITE BENCH"}},
			"references": []map[string]any{{"kind": "storefront", "name": "front", "photo": filepath.Base(place)}},
		})
		if err != nil {
			return err
		}
		if _, err := api.PutSite(ctx, w.siteID(k), 0, document, []client.File{{Name: filepath.Base(place), Path: place}}, nil); err != nil {
			return fmt.Errorf("write site %s: %w", w.siteID(k), remotely(err))
		}
	}
	for first := 0; first < w.employees; first += crewPart {
		if err := w.enroll(ctx, api, first, min(first+crewPart, w.employees)); err != nil {
			return err
		}
		show(min(first+crewPart, w.employees), w.employees)
	}
	return nil
}

// choose finds a photo of each clip's person that can be enrolled.
func (w *crew) choose(ctx context.Context, api *client.Client) error {
	for i, clip := range w.clips {
		var why *client.Problem
		for _, photo := range clip.person {
			answer, err := w.send(ctx, api, []roster.Person{{Subject: "try"}}, []string{photo}, true)
			if err != nil {
				return err
			}
			if why = answer.Rows[0].Problem; why == nil {
				w.clips[i].person = []string{photo}
				break
			}
		}
		if why != nil {
			text := problemText(why)
			return usagef(pipeline.Text{
				EN: "--clips: the person of " + clip.name + " cannot be enrolled from its end: " + text.EN + "; leave it out",
				ZH: "--clips：无法用 " + clip.name + " 的末尾登记人员：" + text.ZH + "；请去掉该文件",
			})
		}
	}
	return nil
}

// enroll sends the employees from first to before end.
func (w *crew) enroll(ctx context.Context, api *client.Client, first, end int) error {
	var people []roster.Person
	var photos []string
	for n := first; n < end; n++ {
		people, photos = append(people, roster.Person{Subject: w.subject(n)}), append(photos, w.clip(n).person[0])
	}
	answer, err := w.send(ctx, api, people, photos, false)
	if err != nil {
		return err
	}
	if i := slices.IndexFunc(answer.Rows, func(r client.BulkRow) bool { return r.Problem != nil }); i >= 0 {
		return fmt.Errorf("load: %d of %d employees were not enrolled; the first: %w", answer.Refused, len(people), answer.Rows[i].Problem)
	}
	return nil
}

// send enrolls people, each with one photo and a consent.
func (w *crew) send(ctx context.Context, api *client.Client, people []roster.Person, photos []string, dryRun bool) (client.Bulk, error) {
	var list bytes.Buffer
	var files []client.File
	enc := json.NewEncoder(&list)
	for i, p := range people {
		name := strconv.Itoa(i) + filepath.Ext(photos[i])
		p.Photos, p.Consent = []string{name}, &roster.Consent{Notice: "load", GivenAt: time.Now().Add(-time.Hour)}
		files = append(files, client.File{Name: name, Path: photos[i]})
		if err := enc.Encode(p); err != nil {
			return client.Bulk{}, err
		}
	}
	answer, err := api.Bulk(ctx, list.Bytes(), files, dryRun, nil)
	if err != nil {
		return answer, fmt.Errorf("enroll the employees: %w", remotely(err))
	}
	if len(answer.Rows) != len(people) {
		return answer, fmt.Errorf("enroll the employees: the service answered %d rows of %d", len(answer.Rows), len(people))
	}
	return answer, nil
}
