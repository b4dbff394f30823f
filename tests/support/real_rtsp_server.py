"""A real RTSP server on loopback, run with the system's Python.

    real_rtsp_server.py PORT [USER PASSWORD | udp | tls CERTIFICATE KEY]

/cam streams a moving test picture, /smart one with a key frame every ten seconds, /slow one a second, /halves one of
interlaced frames. With USER and PASSWORD /cam wants Digest login; with udp it sends over UDP alone, with tls all is
encrypted. Prints "ready".
"""

import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtsp", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import Gio, GLib, Gst, GstRtsp, GstRtspServer  # noqa: E402

PIPELINE = (
    "( videotestsrc is-live=true pattern=smpte ! video/x-raw,width=320,height=240,framerate={rate}/1 ! "
    "capssetter caps=video/x-raw,interlace-mode={mode} ! x264enc tune=zerolatency speed-preset=ultrafast "
    "key-int-max={keys} ! rtph264pay name=pay0 pt=96 config-interval=1 )"
)
ROLE = "viewer, media.factory.access=(boolean)true, media.factory.construct=(boolean)true"
# Frames a second, frames between key frames, and how the frames are made.
MOUNTS = {
    "/cam": (15, 15, "progressive"),
    "/smart": (15, 150, "progressive"),
    "/slow": (1, 2, "progressive"),
    "/halves": (15, 15, "interleaved"),
}


def lock(server, factory, user, password):
    """Only `user` may see and build the stream."""
    token = GstRtspServer.RTSPToken()
    token.set_string(GstRtspServer.RTSP_TOKEN_MEDIA_FACTORY_ROLE, "viewer")
    auth = GstRtspServer.RTSPAuth()
    auth.set_supported_methods(GstRtsp.RTSPAuthMethod.DIGEST)
    auth.add_digest(user, password, token)
    factory.add_role_from_structure(Gst.Structure.from_string(ROLE)[0])
    server.set_auth(auth)


def encrypt(server, certificate, key):
    """Speak TLS, and let everybody see the streams."""
    auth, token = GstRtspServer.RTSPAuth(), GstRtspServer.RTSPToken()
    auth.set_tls_certificate(Gio.TlsCertificate.new_from_files(certificate, key))
    token.set_string(GstRtspServer.RTSP_TOKEN_MEDIA_FACTORY_ROLE, "viewer")
    auth.set_default_token(token)
    server.set_auth(auth)


def main():
    Gst.init(None)
    server, options = GstRtspServer.RTSPServer(), sys.argv[2:]
    if options[:1] == ["tls"]:
        encrypt(server, *options[1:])
    server.set_address("127.0.0.1")
    server.set_service(sys.argv[1])
    for mount, (rate, keys, mode) in MOUNTS.items():
        factory = GstRtspServer.RTSPMediaFactory()
        factory.set_shared(True)
        factory.set_launch(PIPELINE.format(rate=rate, keys=keys, mode=mode))
        if options == ["udp"]:
            factory.set_protocols(GstRtsp.RTSPLowerTrans.UDP)
        elif options[:1] == ["tls"]:
            factory.add_role_from_structure(Gst.Structure.from_string(ROLE)[0])
        elif options and mount == "/cam":
            lock(server, factory, *options)
        server.get_mount_points().add_factory(mount, factory)
    if not server.attach(None):
        sys.exit("cannot listen")
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    GLib.MainLoop().run()


if __name__ == "__main__":
    main()
