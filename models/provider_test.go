package models

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// needing is a shared library of no code that needs others.
func needing(t *testing.T, path string, names ...string) {
	t.Helper()
	table, offsets := []byte{0}, []uint64{}
	for _, n := range names {
		offsets = append(offsets, uint64(len(table)))
		table = append(append(table, n...), 0)
	}
	var dynamic bytes.Buffer
	for _, o := range offsets {
		require.NoError(t, binary.Write(&dynamic, binary.LittleEndian, elf.Dyn64{Tag: int64(elf.DT_NEEDED), Val: o}))
	}
	require.NoError(t, binary.Write(&dynamic, binary.LittleEndian, elf.Dyn64{}))
	const start = 64
	at := start + uint64(len(table))
	head := elf.Header64{
		Type: uint16(elf.ET_DYN), Machine: uint16(elf.EM_X86_64), Version: 1, Shoff: at + uint64(dynamic.Len()), Ehsize: 64, Shentsize: 64, Shnum: 3,
	}
	copy(head.Ident[:], "\x7fELF\x02\x01\x01")
	var out bytes.Buffer
	require.NoError(t, binary.Write(&out, binary.LittleEndian, head))
	out.Write(table)
	out.Write(dynamic.Bytes())
	for _, s := range []elf.Section64{
		{},
		{Type: uint32(elf.SHT_STRTAB), Off: start, Size: uint64(len(table))},
		{Type: uint32(elf.SHT_DYNAMIC), Off: at, Size: uint64(dynamic.Len()), Link: 1, Entsize: 16},
	} {
		require.NoError(t, binary.Write(&out, binary.LittleEndian, s))
	}
	require.NoError(t, os.WriteFile(path, out.Bytes(), 0o600))
}

func TestWantedProviderThatCannotBeUsed(t *testing.T) {
	cases := []struct {
		name     string
		provider Provider
		needs    map[string][]string // provider library -> what it needs; nil: no such file
		en, zh   []string
	}{
		{"no such provider", "abacus", nil, []string{"no such provider", "cpu, cuda, tensorrt or openvino"}, []string{"没有这种后端"}},
		{"no provider library", CUDA, nil, []string{"the provider cuda is not used", "libonnxruntime_providers_cuda.so", "onsite models install --group gpu"}, []string{"未能使用推理后端 cuda", "onsite models install --group gpu"}},
		{"no OpenVINO", OpenVINO, nil, []string{"libonnxruntime_providers_openvino.so", "worker.runtime"}, []string{"worker.runtime"}},
		{
			"no CUDA", CUDA, map[string][]string{"cuda": {"libcublas_that_no_machine_has.so.13", "libc.so.6"}},
			[]string{"libcublas_that_no_machine_has.so.13 (CUDA 13: cuBLAS)", "make setup-gpu"}, []string{"libcublas_that_no_machine_has.so.13（CUDA 13: cuBLAS）", "make setup-gpu"},
		},
		{
			"no TensorRT", TensorRT, map[string][]string{"cuda": {"libc.so.6"}, "tensorrt": {"libnvinfer_that_no_machine_has.so.10"}},
			[]string{"libnvinfer_that_no_machine_has.so.10 (TensorRT 10)"}, []string{"TensorRT 10"},
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			o := OptionsFor(c.provider)
			o.Tasks, o.Library = []Task{EyeState}, filepath.Join(t.TempDir(), LibraryFile)
			for provider, needs := range c.needs {
				needing(t, filepath.Join(filepath.Dir(o.Library), "libonnxruntime_providers_"+provider+".so"), needs...)
			}
			_, err := Open(o)
			var wrong *ProviderError
			require.ErrorAs(t, err, &wrong)
			for _, w := range c.en {
				require.ErrorContains(t, err, w)
			}
			for _, w := range c.zh {
				require.Contains(t, wrong.Chinese(), w)
			}
		})
	}
	require.Equal(t, filepath.Join(CacheDir(), "gpu", LibraryFile), OptionsFor(TensorRT).Library)
	require.Equal(t, DefaultOptions().Library, OptionsFor(CPU).Library)
}

func TestNeeds(t *testing.T) {
	library := filepath.Join(t.TempDir(), LibraryFile)
	needing(t, filepath.Join(filepath.Dir(library), "libonnxruntime_providers_cuda.so"), "libcudart.so.13", "libm.so.6")
	needs, err := Needs(CUDA, library)
	require.NoError(t, err)
	require.Len(t, needs, 2, "the C library's own parts are everywhere; cuDNN is opened by name")
	require.Equal(t, "libcudart.so.13", needs[0].Library)
	require.Equal(t, "libcudnn.so.9", needs[1].Library)
	needs, err = Needs(CPU, library)
	require.NoError(t, err)
	require.Empty(t, needs)
	require.Empty(t, loadable("libc.so.6"))
	require.Contains(t, loadable("libno_such_thing.so"), "cannot open shared object file")
}

// ONNX Runtime takes a provider and gives it nothing: what a profile shows is what counts.
func TestPlacement(t *testing.T) {
	s := open(t, EyeState)
	m := s.models[EyeState]
	data, err := m.read(m.man.File)
	require.NoError(t, err)
	p, err := m.place(data, nil)
	require.NoError(t, err)
	require.Positive(t, p.Nodes["CPUExecutionProvider"])
	require.NoError(t, p.check())
	require.Empty(t, s.Placements(), "on the processor nothing is asked")

	p.Wanted = CUDA
	var wrong *ProviderError
	require.ErrorAs(t, p.check(), &wrong)
	require.ErrorContains(t, wrong, "no operator of model eye_state ran there, all on CPUExecutionProvider")
	require.Contains(t, wrong.Chinese(), "eye_state")

	event := func(op, provider string) string {
		return `{"cat":"Node","name":"x_kernel_time","args":{"op_name":"` + op + `","provider":"` + provider + `ExecutionProvider"}}`
	}
	mixed := `[{"cat":"Session","name":"model_loading_uri","args":{}},` + event("Conv", "CUDA") + "," + event("Shape", "CPU")
	p, err = parsePlacement(FaceEmbed, CUDA, []byte(mixed+"]"))
	require.NoError(t, err)
	require.NoError(t, p.check(), "shapes are worked out where they are")
	p, err = parsePlacement(FaceEmbed, CUDA, []byte(mixed+","+event("PRelu", "CPU")+","+event("Conv", "CPU")+"]"))
	require.NoError(t, err)
	require.ErrorContains(t, p.check(), "operators of model face_embed ran on the processor instead: Conv, PRelu")
	_, err = parsePlacement(FaceEmbed, CUDA, []byte(`[]`))
	require.ErrorContains(t, err, "no operator that ran")
	_, err = parsePlacement(FaceEmbed, CUDA, []byte(`[`))
	require.Error(t, err)
}

func FuzzPlacement(f *testing.F) {
	f.Add([]byte(`[{"cat":"Node","name":"a_kernel_time","args":{"op_name":"Conv","provider":"CPUExecutionProvider"}}]`))
	f.Add([]byte(`[{"cat":"Node","name":"a_kernel_time","args":{"op_name":7,"provider":[]}}]`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		p, err := parsePlacement(FaceEmbed, CUDA, raw)
		if err == nil {
			require.NotEmpty(t, p.Nodes)
			_ = p.check()
		}
	})
}

func TestRuntimeDigest(t *testing.T) {
	dir := t.TempDir()
	_, err := RuntimeDigest(dir)
	require.ErrorContains(t, err, "has no libonnxruntime")
	require.NoError(t, os.WriteFile(filepath.Join(dir, LibraryFile), []byte("core"), 0o600))
	one, err := RuntimeDigest(dir)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "readme"), []byte("x"), 0o600))
	same, err := RuntimeDigest(dir)
	require.NoError(t, err)
	require.Equal(t, one, same)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "libonnxruntime_providers_cuda.so"), []byte("provider"), 0o600))
	other, err := RuntimeDigest(dir)
	require.NoError(t, err)
	require.NotEqual(t, one, other, "core and providers are one runtime")
}
