package authenticity

import (
	"slices"
	"strings"

	"onsite/pipeline/media"
)

// sureness is how much it means that a file names a program.
type sureness int

const (
	// weak: honest files pass through such programs all the time (messengers, re-encoding by a server). It only adds to other signs.
	weak sureness = iota
	// likely: an editor or a download, or a name that was never seen in a real file. An employee has no need of an editor, and may have used
	// it for a harmless cut: a person looks.
	likely
	// certain: a program that feeds invented pictures to apps, records screens, or generates pictures names itself in the file.
	certain
)

// program is one program that names itself in files.
type program struct {
	says string // what stands in the file, small letters
	name string // for people
	kind string // virtual_camera, screen_recorder, generator, editor, download, beauty, messenger, library
	sure sureness
}

// programs is the table of what is known. The words were taken from the programs' sources or from dumps of files that they wrote; names that
// only their makers' pages give are marked "by name": such files were not at hand, and such a name is never certain. The first entry of a
// kind that fits counts, so that the surer ones stand first.
var programs = []program{
	{"obs video handler", "OBS Studio", "virtual_camera", certain}, // obs-studio, plugins/obs-outputs/mp4-mux.c
	{"obs audio handler", "OBS Studio", "virtual_camera", certain},
	{"obs studio", "OBS Studio", "virtual_camera", certain},
	{"obs-studio", "OBS Studio", "virtual_camera", certain},
	{"simple_aac_recording", "OBS Studio", "virtual_camera", certain}, // name of its sound track, UI/window-basic-main-outputs.cpp
	{"simple_aac_stream", "OBS Studio", "virtual_camera", certain},
	{"chromacam", "ChromaCam", "virtual_camera", certain},
	{"snap camera", "Snap Camera", "virtual_camera", certain},
	{"manycam", "ManyCam", "virtual_camera", likely},                           // by name
	{"splitcam", "SplitCam", "virtual_camera", likely},                         // by name
	{"xsplit", "XSplit", "virtual_camera", likely},                             // by name
	{"e2esoft", "VCam", "virtual_camera", likely},                              // by name
	{"replaykitrecording", "iOS screen recording", "screen_recorder", certain}, // com.apple.quicktime.author of its files
	{"bandicam", "Bandicam", "screen_recorder", certain},
	{"camtasia", "Camtasia", "screen_recorder", certain},
	{"screenflow", "ScreenFlow", "screen_recorder", certain},
	{"hypercam", "HyperCam", "screen_recorder", certain},
	{"mobizen", "Mobizen", "screen_recorder", certain},
	{"xrecorder", "XRecorder", "screen_recorder", certain},
	{"screen recorder", "a screen recorder", "screen_recorder", certain},
	{"screenrecord", "a screen recorder", "screen_recorder", certain},
	{"录屏", "a screen recorder", "screen_recorder", certain},
	{"trainedalgorithmicmedia", "a picture generator", "generator", certain},                          // IPTC DigitalSourceType
	{"compositewithtrainedalgorithmicmedia", "an editor that adds generated parts", "editor", likely}, // as phones' photo assistants write
	{"dreaminametainfo", "Dreamina", "generator", likely},                                             // also CapCut's exports carry it
	{"te_is_reencode", "CapCut / JianYing", "editor", likely},                                         // ByteDance's editor library, in the format's tags
	{"teeditor", "CapCut / JianYing", "editor", likely},
	{"lvmetainfo", "CapCut / JianYing", "editor", likely},
	{"\"source_type\":\"vicut\"", "CapCut / JianYing", "editor", likely},
	{"capcut", "CapCut", "editor", likely},
	{"jianying", "JianYing", "editor", likely},
	{"剪映", "JianYing", "editor", likely},
	{"必剪", "BCut", "editor", likely},
	{"快影", "Kuaiying", "editor", likely},
	{"mainconcept", "Adobe Premiere / Media Encoder", "editor", likely}, // "Mainconcept Video Media Handler", with compressor "AVC Coding"
	{"premiere", "Adobe Premiere", "editor", likely},
	{"adobe media encoder", "Adobe Media Encoder", "editor", likely},
	{"after effects", "Adobe After Effects", "editor", likely},
	{"photoshop", "Adobe Photoshop", "editor", likely},
	{"lightroom", "Adobe Lightroom", "editor", likely},
	{"final cut", "Final Cut", "editor", likely},
	{"imovie", "iMovie", "editor", likely},
	{"davinci", "DaVinci Resolve", "editor", likely},
	{"blackmagic", "DaVinci Resolve", "editor", likely},
	{"filmora", "Filmora", "editor", likely},
	{"wondershare", "Filmora", "editor", likely},
	{"kinemaster", "KineMaster", "editor", likely},
	{"inshot", "InShot", "editor", likely},
	{"vivavideo", "VivaVideo", "editor", likely},
	{"powerdirector", "PowerDirector", "editor", likely},
	{"movavi", "Movavi", "editor", likely},
	{"vegas", "Vegas", "editor", likely},
	{"kdenlive", "Kdenlive", "editor", likely},
	{"shotcut", "Shotcut", "editor", likely},
	{"openshot", "OpenShot", "editor", likely},
	{"blender", "Blender", "editor", likely},
	{"handbrake", "HandBrake", "editor", likely},
	{"avidemux", "Avidemux", "editor", likely},
	{"snapseed", "Snapseed", "editor", likely},
	{"picsart", "PicsArt", "editor", likely},
	{"gimp", "GIMP", "editor", likely},
	{"iso media file produced by google", "YouTube", "download", likely}, // handler of its files
	{"packed by bilibili", "Bilibili", "download", likely},
	{"vid:v0", "Douyin / TikTok", "download", likely}, // comment of its files
	{"meitu", "Meitu", "beauty", weak},                // many people's only camera
	{"美图", "Meitu", "beauty", weak},
	{"faceu", "FaceU", "beauty", weak},
	{"b612", "B612", "beauty", weak},
	{"wxmm", "WeChat", "messenger", weak},
	{"wechat", "WeChat", "messenger", weak},
	{"whatsapp", "WhatsApp", "messenger", weak},
	{"telegram", "Telegram", "messenger", weak},
	{"x264", "x264", "library", weak}, // no phone's camera encodes with it; messengers and servers do
	{"x265", "x265", "library", weak},
	{"lavf", "FFmpeg", "library", weak},
	{"lavc", "FFmpeg", "library", weak},
	{"gpac", "GPAC", "library", weak},
	{"mp4box", "GPAC", "library", weak},
}

// named is a program that a file names, and where.
type named struct {
	program
	field, value string
}

// silent are tags that hold what people wrote, or where they were: they are not looked at.
var silent = []string{"location", "location-eng", "com.apple.quicktime.location.iso6709", "date", "creation_time", "com.apple.quicktime.creationdate", "lyrics", "language"}

// whole are words that mean what the table says only where they are all that their own field holds: "trainedAlgorithmicMedia" is a generated
// picture, "compositeWithTrainedAlgorithmicMedia" a camera's with a retouched part.
var whole = map[string]string{
	"trainedalgorithmicmedia":              fieldSource,
	"compositewithtrainedalgorithmicmedia": fieldSource,
	"replaykitrecording":                   "com.apple.quicktime.author",
}

const fieldSource = "source" // IPTC's digital source type

// softwareFields are those that a program fills with its own name; a title, a comment or an artist may be anybody's words. Of a tag with a
// dotted name, such as com.apple.quicktime.software, the last part counts.
var softwareFields = []string{
	"handler", "handler_name", "compressor", "compressor_name", "vendor", "vendor_id", "encoder", "encoding_tool", "creator tool", "creator_tool",
	"software", "tool", "writing_application", "writing_library",
}

// feeds are the kinds that a fail rests on: they are looked for in the fields of software only.
var feeds = []string{"virtual_camera", "screen_recorder"}

// in finds the program in a field: the offset of its word, negative for none.
func (p *program) in(field, value string) int {
	value = strings.ToLower(value)
	if own, ok := whole[p.says]; ok {
		if field == own && strings.TrimSpace(value) == p.says {
			return 0
		}
		return -1
	}
	if slices.Contains(feeds, p.kind) {
		field = strings.ToLower(field)
		if !slices.Contains(softwareFields, field[strings.LastIndexByte(field, '.')+1:]) {
			return -1
		}
	}
	return strings.Index(value, p.says)
}

// namesOf lists the programs that a file names, the surest first, each kind once.
func namesOf(i *media.Info) []named {
	type said struct{ field, value string }
	var all []said
	add := func(field, value string) {
		if value != "" {
			all = append(all, said{field, value})
		}
	}
	for _, t := range i.Origin.Tracks {
		add("handler", t.Handler)
		add("compressor", t.Compressor)
		add("vendor", t.Vendor)
	}
	add("encoder", i.Origin.Encoder)
	add("creator tool", i.Origin.Tool)
	if p := i.Origin.Photo; p != nil {
		add("software", p.Software)
		add(fieldSource, p.Source)
	}
	keys := make([]string, 0, len(i.Tags))
	for k := range i.Tags {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	for _, k := range keys {
		if slices.Contains(silent, k) {
			continue
		}
		add(k, i.Tags[k])
		add("tag", k) // some programs name themselves in the name of a tag
	}
	var out []named
	for _, p := range programs {
		if slices.ContainsFunc(out, func(n named) bool { return n.kind == p.kind }) {
			continue
		}
		for _, s := range all {
			if at := p.in(s.field, s.value); at >= 0 {
				out = append(out, named{p, s.field, around(s.value, at)})
				break
			}
		}
	}
	slices.SortStableFunc(out, func(a, b named) int { return int(b.sure) - int(a.sure) })
	return out
}

// around cuts the part of a text that starts shortly before an offset; the texts of tags may be long, and hold more than a program's name.
func around(s string, at int) string {
	const before, most = 20, 60
	from := max(0, min(at, len(s))-before)
	return strings.ToValidUTF8(s[from:min(len(s), from+most)], "")
}
