"""A picture of a page, as small as PNG can have it: the browser's own is a third larger."""

import base64
import struct
import zlib

from playwright.async_api import Page

PIXELS = """async (png) => {
  const bitmap = await createImageBitmap(new Blob([Uint8Array.from(atob(png), (one) => one.charCodeAt(0))]));
  const canvas = new OffscreenCanvas(bitmap.width, bitmap.height).getContext("2d");
  canvas.drawImage(bitmap, 0, 0);
  const { data } = canvas.getImageData(0, 0, bitmap.width, bitmap.height);
  let text = "";
  for (let at = 0; at < data.length; at += 8192) text += String.fromCharCode(...data.subarray(at, at + 8192));
  return [bitmap.width, bitmap.height, btoa(text)];
}"""


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


async def picture(page: Page) -> bytes:
    """Return what a usual window shows as a PNG (ISO/IEC 15948) without filters, which make flat surfaces larger."""
    await page.set_viewport_size({"width": 1280, "height": 720})
    shown = base64.b64encode(await page.screenshot(animations="disabled")).decode()
    width, height, pixels = await page.evaluate(PIXELS, shown)
    rgba = base64.b64decode(pixels)
    rgb = bytearray(len(rgba) // 4 * 3)
    for colour in range(3):
        rgb[colour::3] = rgba[colour::4]
    rows = b"".join(b"\0" + rgb[row * width * 3 : (row + 1) * width * 3] for row in range(height))
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = _chunk(b"IHDR", head) + _chunk(b"IDAT", zlib.compress(rows, 9)) + _chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts
