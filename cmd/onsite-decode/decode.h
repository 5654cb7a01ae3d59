// The C side of the decoder child: demuxing and decoding on libav and libheif. Go (the other files of this package) decides what to
// decode and speaks JSON; C touches packets and pixels and writes pixel records (package wire) straight to the answer pipe.
#ifndef ONSITE_DECODE_H
#define ONSITE_DECODE_H

#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libswscale/swscale.h>
#include <stdint.h>

// One packet of the picture stream, in decoding order. Times are microseconds, not yet relative to the clip's start.
typedef struct od_packet {
  int64_t pts_us;
  const uint8_t *data;
  int32_t bytes;
  uint8_t key;
  uint8_t droppable; // no other picture needs it
  uint8_t fresh;     // neither it nor, in the stream's order, anything after it refers to what came before
  uint8_t layer;     // HEVC's temporal layer
  uint8_t hidden;    // decoded, never shown (edit list)
  uint8_t corrupt;   // the demuxer could not read all of it, or says that its bytes are wrong
} od_packet;

// What the headers say. Sizes are coded, before orientation.
typedef struct od_header {
  char codec[32];
  int width, height;
  int sar_num, sar_den;
  int orientation; // 1..8 as in EXIF
  int streams;
  int encrypted;
  int has_picture, has_audio, sound_known; // sound_known: registry.c has a decoder for the sound
  int64_t duration_us;
  int range, primaries, transfer, matrix, reorder; // as libav numbers them
  int sound_rate, sound_channels;
} od_header;

// What to do with a packet.
enum {
  OD_SKIP = 0,
  OD_DECODE = 1,
  OD_RESTART = 2, // drain and flush the decoder, then decode
  OD_ROUGH = 3,   // decode without smoothing the edges of blocks: no planned still or burst is this picture or made from it; a still added at a cut may be
};

typedef struct od_plan {
  const uint8_t *action; // per packet
  const int64_t *still;  // times of stills, relative to the clip's start, rising
  int stills;
  const int64_t *motion; // times of motion frames
  int motions;
  const int64_t *burst; // times of burst frames, each one of the motion frames
  int bursts;
  const int64_t *between; // times of motion frames beside the track
  int betweens;
  int64_t start_us; // absolute time of the clip's start
  int still_w, still_h, motion_w, motion_h, burst_w, burst_h; // before orientation
  int orientation;
  int max_stills; // scene changes included
  int bare;
  int out; // file descriptor
} od_plan;

typedef struct od_result {
  int sent, decoded, errors, concealed;
  int stills; // given out
  int64_t convert_us; // processor time of making pictures of the wanted size and colours
} od_result;

typedef struct od_clip {
  int fd;
  int64_t size, pos;
  int read_error; // errno when the file could not be read, EIO when it ended before size
  AVIOContext *io;
  AVFormatContext *fmt;
  AVCodecContext *dec;
  int video, audio;
  AVPacket **av; // the packets themselves
  od_packet *packets;
  int count, cap;
  int64_t end_us; // of the last packet of any stream that was read
  AVPacket **sound;
  int sound_count, sound_cap;
} od_clip;

// Errors of our own, beside AVERROR codes.
enum {
  OD_OK = 0,
  OD_TOO_MANY_PACKETS = 1,
  OD_NO_MEMORY = 2,
  OD_ENCRYPTED = 3,
  OD_WRITE = 4,
  OD_NO_DECODER = 5,
};

void od_setup(void); // before the walls stand: libraries that read files when they start
int od_open(od_clip *c, const char *format, int max_streams);
int od_headers(od_clip *c, od_header *h);
int od_tag(od_clip *c, int i, const char **key, const char **value);
int od_scan(od_clip *c, int max_packets, int want_sound);
int od_decode(od_clip *c, int64_t max_pixels, int reorder, const od_plan *plan, od_result *r);
int od_sound(od_clip *c, int64_t start_us, int64_t max_samples, int out);
void od_close(od_clip *c);

// A photo: from the file's bytes to BGR in display orientation, at most max_side on its longer side. *pix is malloc'ed.
typedef struct od_photo {
  uint8_t *pix;
  int w, h;           // of pix
  int full_w, full_h; // display orientation, before scaling
  int partial;        // the decoder complained: a part of the picture is missing
} od_photo;
int od_photo_decode(const char *codec, const uint8_t *data, int64_t size, int orientation, int max_side, int64_t max_pixels, od_photo *p);
const char *od_heic_load(void);    // before the walls stand; what is wrong, or NULL
const char *od_heic_version(void); // of the library that is loaded; else of the one that this program was built for
int od_heic_size(const uint8_t *data, int64_t size, int *w, int *h, char *err, int err_size);
int od_heic_decode(const uint8_t *data, int64_t size, int max_side, od_photo *p, char *err, int err_size);

// Pixels.
void od_fit(int w, int h, int max_side, int *ow, int *oh);
void od_orient(const uint8_t *src, int w, int h, int channels, int orientation, uint8_t *dst);
int od_to_bgr(struct SwsContext **sws, const AVFrame *f, uint8_t *dst, int w, int h);
int od_to_grey(struct SwsContext **sws, const AVFrame *f, uint8_t *dst, int w, int h);
int od_write(int fd, uint32_t kind, const void *head, uint32_t head_size, const void *body, uint32_t body_size);
int od_write_frame(int fd, uint32_t kind, int64_t pts_us, int w, int h, uint32_t flags, const uint8_t *pix, int channels);
int od_flush_frames(int fd); // of what od_write_frame holds back

#endif
