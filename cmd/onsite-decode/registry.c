// What this program can open and decode: these few demuxers and decoders, and no protocol at all.
//
// libav is linked statically, and its own tables of everything it can do (allcodecs.c, allformats.c, protocols.c) are replaced by these, so that the
// linker takes a twentieth of it and none of the 130 libraries that the rest asks for. Loading those took 60 ms of processor time for each clip,
// and what is not in the program cannot be attacked. The names are those of FFmpeg 5.1 (Debian 12); another version may name
// something else, or mean something else by the same name, so it does not compile.
#include "decode.h"

#include <libavutil/hwcontext.h>
#include <string.h>

#if LIBAVCODEC_VERSION_MAJOR != 59 || LIBAVFORMAT_VERSION_MAJOR != 59
#error "registry.c is written for FFmpeg 5.1 (libavcodec 59, libavformat 59): compare its lists with those of this version first"
#endif

// Decoders: a stream is decoded by the first that fits.
#define DECODERS(X) X(h264) X(hevc) X(vp8) X(vp9) X(mjpeg) X(png) X(webp) X(aac) X(opus) X(vorbis) X(mp3float) X(amrnb) X(amrwb) X(alac) X(flac) \
  X(pcm_s16le) X(pcm_s16be) X(pcm_s24le) X(pcm_s32le) X(pcm_f32le) X(pcm_u8)

#define DECLARE(name) extern const AVCodec ff_##name##_decoder;
#define LIST(name) &ff_##name##_decoder,
DECODERS(DECLARE)
static const AVCodec *const decoders[] = {DECODERS(LIST) NULL};

const AVCodec *av_codec_iterate(void **opaque) {
  uintptr_t i = (uintptr_t)*opaque;
  const AVCodec *c = decoders[i];
  if (c) *opaque = (void *)(i + 1);
  return c;
}

const AVCodec *avcodec_find_decoder(enum AVCodecID id) {
  for (int i = 0; decoders[i]; i++)
    if (decoders[i]->id == id) return decoders[i];
  return NULL;
}

const AVCodec *avcodec_find_decoder_by_name(const char *name) {
  for (int i = 0; name && decoders[i]; i++)
    if (!strcmp(decoders[i]->name, name)) return decoders[i];
  return NULL;
}

const AVCodec *avcodec_find_encoder(enum AVCodecID id) {
  (void)id;
  return NULL;
}

const AVCodec *avcodec_find_encoder_by_name(const char *name) {
  (void)name;
  return NULL;
}

// Parsers, for the packets of these streams that a container does not cut properly.
#define PARSERS(X) X(h264) X(hevc) X(vp8) X(vp9) X(aac) X(aac_latm) X(mpegaudio) X(opus) X(vorbis) X(flac) X(amr)
#define DECLARE_PARSER(name) extern const AVCodecParser ff_##name##_parser;
#define LIST_PARSER(name) &ff_##name##_parser,
PARSERS(DECLARE_PARSER)
static const AVCodecParser *const parsers[] = {PARSERS(LIST_PARSER) NULL};

const AVCodecParser *av_parser_iterate(void **opaque) {
  uintptr_t i = (uintptr_t)*opaque;
  const AVCodecParser *p = parsers[i];
  if (p) *opaque = (void *)(i + 1);
  return p;
}

// Demuxers.
extern const AVInputFormat ff_mov_demuxer, ff_matroska_demuxer;
static const AVInputFormat *const demuxers[] = {&ff_mov_demuxer, &ff_matroska_demuxer, NULL};

const AVInputFormat *av_demuxer_iterate(void **opaque) {
  uintptr_t i = (uintptr_t)*opaque;
  const AVInputFormat *f = demuxers[i];
  if (f) *opaque = (void *)(i + 1);
  return f;
}

const AVOutputFormat *av_muxer_iterate(void **opaque) {
  (void)opaque;
  return NULL;
}

// Protocols: none.
struct URLProtocol;
const AVClass *ff_urlcontext_child_class_iterate(void **iter) {
  (void)iter;
  return NULL;
}

const struct URLProtocol **ffurl_get_protocols(const char *allowed, const char *denied) {
  (void)allowed, (void)denied;
  return av_mallocz(sizeof(struct URLProtocol *)); // an empty list
}

const char *avio_enum_protocols(void **opaque, int output) {
  (void)opaque, (void)output;
  return NULL;
}

// What the taken parts name of the rest: other people's hardware, transport, resampler. All are empty, none is ever asked for: decoding in
// hardware begins with a device, which is never given.
#define HARDWARE(X) X(h264_nvdec) X(h264_vaapi) X(h264_vdpau) X(hevc_nvdec) X(hevc_vaapi) X(hevc_vdpau) X(vp8_nvdec) X(vp8_vaapi) X(vp9_nvdec) X(vp9_vaapi) X(vp9_vdpau) \
  X(mjpeg_nvdec) X(mjpeg_vaapi)
#define NO_HARDWARE(name) const AVHWAccel ff_##name##_hwaccel;
HARDWARE(NO_HARDWARE)

#define DEVICES(X) X(cuda) X(drm) X(opencl) X(qsv) X(vaapi) X(vdpau) X(vulkan)
#define NO_DEVICE(name) const struct no_device ff_hwcontext_type_##name;
struct no_device { // libav's own type is private; its first part says which device it is, and 0 is none
  enum AVHWDeviceType type;
  char rest[508];
};
DEVICES(NO_DEVICE)

const char swri_soxr_resampler[512];

void ff_gnutls_init(void);
void ff_gnutls_init(void) {}
void ff_gnutls_deinit(void);
void ff_gnutls_deinit(void) {}
