"""Super-resolution of single images by ESRGAN's RRDBNet."""
