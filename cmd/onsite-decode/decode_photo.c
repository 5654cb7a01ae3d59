// Photos: JPEG, PNG and WebP through libavcodec, HEIC through libheif.
#include "decode.h"

#include <dlfcn.h>
#include <libavutil/imgutils.h>
#include <libheif/heif.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int finish(AVFrame *f, int orientation, int max_side, od_photo *p) {
  struct SwsContext *sws = NULL;
  int w, h, turned = orientation >= 5, err = AVERROR(ENOMEM);
  od_fit(f->width, f->height, max_side, &w, &h);
  uint8_t *raw = malloc((size_t)w * h * 3 + 64), *out = orientation == 1 ? NULL : malloc((size_t)w * h * 3 + 64);
  if (raw && (out || orientation == 1) && !(err = od_to_bgr(&sws, f, raw, w, h))) {
    if (orientation == 1) {
      p->pix = raw, raw = NULL;
    } else {
      od_orient(raw, w, h, 3, orientation, out);
      p->pix = out, out = NULL;
    }
    p->w = turned ? h : w, p->h = turned ? w : h;
    p->full_w = turned ? f->height : f->width, p->full_h = turned ? f->width : f->height;
  }
  sws_freeContext(sws);
  free(raw);
  free(out);
  return err;
}

static void keep(void *opaque, uint8_t *data) { (void)opaque, (void)data; } // the caller owns the bytes

// data has AV_INPUT_BUFFER_PADDING_SIZE zero bytes behind it.
int od_photo_decode(const char *name, const uint8_t *data, int64_t size, int orientation, int max_side, int64_t max_pixels, od_photo *p) {
  const AVCodec *codec = avcodec_find_decoder_by_name(name);
  AVCodecContext *dec = codec ? avcodec_alloc_context3(codec) : NULL;
  AVPacket *pkt = av_packet_alloc();
  AVFrame *f = av_frame_alloc();
  int err = AVERROR(ENOMEM);
  if (!dec || !pkt || !f || size > INT32_MAX - AV_INPUT_BUFFER_PADDING_SIZE) goto out;
  dec->thread_count = 1;
  dec->max_pixels = max_pixels;
  dec->err_recognition = AV_EF_CRCCHECK | AV_EF_EXPLODE; // else a JPEG with a broken scan comes out half grey
  if ((err = avcodec_open2(dec, codec, NULL)) < 0) goto out;
  err = AVERROR(ENOMEM);
  if (!(pkt->buf = av_buffer_create((uint8_t *)data, (size_t)size + AV_INPUT_BUFFER_PADDING_SIZE, keep, NULL, AV_BUFFER_FLAG_READONLY))) goto out;
  pkt->data = (uint8_t *)data, pkt->size = (int)size;
  if ((err = avcodec_send_packet(dec, pkt)) < 0) goto out;
  avcodec_send_packet(dec, NULL);
  if ((err = avcodec_receive_frame(dec, f)) < 0) goto out;
  p->partial = f->decode_error_flags != 0 || f->flags & AV_FRAME_FLAG_CORRUPT;
  err = finish(f, orientation, max_side, p);
out:
  avcodec_free_context(&dec);
  av_packet_free(&pkt);
  av_frame_free(&f);
  return err;
}

// libheif is loaded for HEIC alone: it brings encoders of its own, and loading them with every clip took as long as all the rest of starting.
#define HEIF(X) \
  X(context_alloc) X(context_free) X(context_get_primary_image_handle) X(context_read_from_memory_without_copy) X(context_set_max_decoding_threads) X(context_set_maximum_image_size_limit) X(decode_image) X(image_get_plane) X(image_get_primary_height) X(image_get_primary_width) X(image_handle_get_height) X(image_handle_get_width) X(image_handle_release) X(image_release) X(get_version) X(init)
#define POINTER(name) __typeof__(heif_##name) *name;
static struct {
  HEIF(POINTER)
} lib;

const char *od_heic_load(void) {
  void *found = dlopen("libheif.so.1", RTLD_NOW | RTLD_LOCAL);
  if (!found) return dlerror();
#define FIND(name) \
  if (!(lib.name = (__typeof__(lib.name))dlsym(found, "heif_" #name))) return dlerror();
  HEIF(FIND)
  lib.init(NULL);
  return NULL;
}

const char *od_heic_version(void) { return lib.get_version ? lib.get_version() : LIBHEIF_VERSION; }

static int heic_open(const uint8_t *data, int64_t size, int only_size, struct heif_context **ctx, struct heif_image_handle **h, char *text, int text_size) {
  struct heif_error e;
  *ctx = lib.context_alloc();
  lib.context_set_max_decoding_threads(*ctx, 0);
  if (only_size) lib.context_set_maximum_image_size_limit(*ctx, 1 << 28); // our own limit names itself
  e = lib.context_read_from_memory_without_copy(*ctx, data, (size_t)size, NULL);
  if (e.code == heif_error_Ok) e = lib.context_get_primary_image_handle(*ctx, h);
  if (e.code != heif_error_Ok) snprintf(text, (size_t)text_size, "%s", e.message ? e.message : "unknown error");
  return e.code;
}

int od_heic_size(const uint8_t *data, int64_t size, int *w, int *h, char *err, int err_size) {
  struct heif_context *ctx = NULL;
  struct heif_image_handle *handle = NULL;
  int code = heic_open(data, size, 1, &ctx, &handle, err, err_size);
  if (!code) *w = lib.image_handle_get_width(handle), *h = lib.image_handle_get_height(handle);
  if (handle) lib.image_handle_release(handle);
  lib.context_free(ctx);
  return code;
}

// libheif applies the file's own rotation and mirroring (irot, imir); the EXIF orientation of a HEIC is not to be applied again.
int od_heic_decode(const uint8_t *data, int64_t size, int max_side, od_photo *p, char *err, int err_size) {
  struct heif_context *ctx = NULL;
  struct heif_image_handle *handle = NULL;
  struct heif_image *img = NULL;
  int code = heic_open(data, size, 0, &ctx, &handle, err, err_size);
  if (!code) {
    struct heif_error e = lib.decode_image(handle, &img, heif_colorspace_RGB, heif_chroma_interleaved_RGB, NULL);
    code = e.code;
    if (code) snprintf(err, (size_t)err_size, "%s", e.message ? e.message : "unknown error");
  }
  if (!code) {
    AVFrame *f = av_frame_alloc();
    f->width = lib.image_get_primary_width(img), f->height = lib.image_get_primary_height(img);
    f->format = AV_PIX_FMT_RGB24;
    f->data[0] = lib.image_get_plane(img, heif_channel_interleaved, &f->linesize[0]);
    code = finish(f, 1, max_side, p);
    f->data[0] = NULL;
    av_frame_free(&f);
  }
  if (img) lib.image_release(img);
  if (handle) lib.image_handle_release(handle);
  lib.context_free(ctx);
  return code;
}
