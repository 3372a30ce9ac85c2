"""The page on which a person drops an image and sees what a network sees in it.

Gradio's page needs nothing from the Internet, and nothing is sent there: no analytics, no fonts, no
link that shares the page.
"""

import html
from pathlib import Path
from typing import Any

import fastapi
import gradio as gr
import numpy as np
from absl import logging
from gradio.utils import get_upload_folder

from auto_deeplab.data.description import DatasetDescription
from auto_deeplab.serving.demo.analysis import AnalyzedImage, analyze_image
from auto_deeplab.serving.demo.gate import Gate
from auto_deeplab.serving.files.image_files import FORMATS, SUFFIXES, UnreadableImage
from auto_deeplab.serving.segmenter import ExportedNetwork
from auto_deeplab.visualization.overlays import overlay, percent

_OPACITY = 0.6
# Files of a person are deleted after an hour, looked for every ten minutes.
_CACHE_SECONDS = (600, 3600)
# Images that wait for the network; one more is told to come back.
_LONGEST_QUEUE = 16
# A person's image is kept for the slider, up to 10 MB; those who come next push out the oldest.
_KEPT_IMAGES = 32
_STYLE = """
.gradio-container { max-width: 1280px !important; }
.html-container { padding: 0 !important; }
#picture .image-container button:has(img) { width: 100%; }
#picture .image-frame { width: 100%; }
#picture img { width: 100%; max-height: 75vh; object-fit: contain; }
p { margin: 0; line-height: 1.6; overflow-wrap: anywhere; }
p[role="alert"] { padding: 12px 16px; border-left: 4px solid #b42318; border-radius: 4px;
  background: #fef3f2; color: #7a271a; }
table { width: 100%; margin: 0; padding: 0; border-spacing: 0; table-layout: fixed;
  line-height: 20px; }
caption { text-align: left; font-weight: 600; padding-bottom: 6px; }
th { width: 50%; padding: 4px 0; text-align: left; font-weight: 400; vertical-align: top;
  overflow-wrap: anywhere; }
td { padding: 4px 0; vertical-align: top; }
.share { width: 3.2em; padding-right: 10px; text-align: right; }
.bar { height: 14px; margin-top: 3px; border: 1px solid #7d8a97; border-radius: 3px; }
.swatch { float: left; width: 14px; height: 14px; margin: 3px 8px 0 0; border: 1px solid #7d8a97;
  border-radius: 3px; }
"""


def demo_app(
    network: ExportedNetwork, max_pixels: int, max_upload_megabytes: int
) -> fastapi.FastAPI:
    """Returns the page as a web application.

    Uploads and results are kept in the folder that the environment's GRADIO_TEMP_DIR names. They
    should be alone there: whoever reaches the page can ask for what it holds, and for nothing else.

    Args:
        network: What looks at the images; it is given one at a time.
        max_pixels: Images with more are refused before they are decoded.
        max_upload_megabytes: Larger files are refused while they arrive.
    """
    app = gr.mount_gradio_app(
        fastapi.FastAPI(openapi_url=None),
        _build_page(network, max_pixels, max_upload_megabytes),
        path="/",
        footer_links=[],
        run_history=False,
        show_error=False,
        max_file_size=f"{max_upload_megabytes}mb",
        ssr_mode=False,
        enable_monitoring=False,
        pwa=False,
        mcp_server=False,
        theme=gr.themes.Default(
            primary_hue="blue", font=("system-ui", "sans-serif"), font_mono=("monospace",)
        ),
        css=_STYLE,
    )
    app.add_middleware(Gate, uploads=get_upload_folder())
    return app


def _build_page(network: ExportedNetwork, max_pixels: int, max_upload_megabytes: int) -> gr.Blocks:
    name, description = network.description.name, network.description
    formats = f"{', '.join(FORMATS[:-1])} and {FORMATS[-1]}"
    limits = f"up to {max_upload_megabytes} MB and {max_pixels / 1e6:.3g} million pixels"
    with gr.Blocks(
        title=f"{name}: what the network sees",
        analytics_enabled=False,
        delete_cache=_CACHE_SECONDS,
    ) as page:
        seen = gr.State()
        gr.Markdown("# What the network sees")
        gr.HTML(
            f"<p>Trained on {html.escape(name)}. Takes {formats} files, {limits}.</p>",
            apply_default_css=False,
        )
        upload = gr.File(label="Image", file_types=list(SUFFIXES), height=140)
        refusal = gr.HTML(visible=False, apply_default_css=False)
        with gr.Row(visible=False) as results:
            with gr.Column(scale=2, min_width=320):
                picture = gr.Image(
                    label="Overlay",
                    show_label=False,
                    format="jpeg",
                    interactive=False,
                    buttons=["download", "fullscreen"],
                    elem_id="picture",
                )
                opacity = gr.Slider(
                    0, 1, _OPACITY, step=0.05, label="Opacity of the colors", buttons=[]
                )
            with gr.Column(scale=1, min_width=280):
                facts = gr.HTML(elem_id="facts", apply_default_css=False)
                classes = gr.HTML(apply_default_css=False)

        def refuse(path: str, reason: str) -> dict[Any, Any]:
            message = html.escape(f"{Path(path).name}: {reason}")
            return {
                upload: None,
                refusal: gr.HTML(f'<p role="alert">{message}</p>', visible=True),
                results: gr.Row(visible=False),
            }

        def see(path: str, opacity: float) -> dict[Any, Any]:
            try:
                image = analyze_image(
                    path, network.class_maps, len(description.classes), max_pixels
                )
            except UnreadableImage as error:
                return refuse(path, str(error))
            except Exception:  # Such as too little memory: what the next image may well get.
                logging.exception("%s", Path(path).name)
                return refuse(path, "the network failed; the terminal says why")
            return {
                upload: None,
                refusal: gr.HTML("", visible=False),
                results: gr.Row(visible=True),
                seen: image,
                picture: gr.Image(blend(image, opacity), alt_text=_alternative(image, description)),
                facts: _facts(Path(path).name, image),
                classes: _class_table(image, description),
            }

        def blend(image: AnalyzedImage | None, opacity: float) -> np.ndarray:
            if image is None:
                raise gr.Error("This image is no longer kept. Please drop it again.")
            return overlay(image.pixels, image.class_map, description.palette, opacity)

        upload.upload(
            see,
            [upload, opacity],
            [upload, refusal, results, seen, picture, facts, classes],
            # Without it the results' place stays empty while the network works.
            show_progress_on=[upload],
            concurrency_limit=1,
            api_visibility="private",
        )
        opacity.input(
            blend,
            [seen, opacity],
            picture,
            show_progress="hidden",
            trigger_mode="always_last",
            api_visibility="private",
        )
    page.state_session_capacity = _KEPT_IMAGES
    return page.queue(max_size=_LONGEST_QUEUE)


def _alternative(image: AnalyzedImage, description: DatasetDescription) -> str:
    shares = ", ".join(
        f"{description.classes[index]} {percent(share)}" for index, share in image.shares
    )
    return f"The image, colored by class: {shares}"


def _facts(name: str, image: AnalyzedImage) -> str:
    height, width = image.size
    return (
        f"<p><strong>{html.escape(name)}</strong><br>{width} x {height} pixels<br>"
        f"decoded in {_duration(image.decoding_seconds)}<br>"
        f"network: {_duration(image.network_seconds)}</p>"
    )


def _duration(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 1 else f"{1000 * seconds:.0f} ms"


def _class_table(image: AnalyzedImage, description: DatasetDescription) -> str:
    rows = []
    for index, share in image.shares:
        color = "#{:02x}{:02x}{:02x}".format(*description.palette[index])
        rows.append(
            f'<tr><th scope="row"><div class="swatch" style="background:{color}"></div>'
            f'{html.escape(description.classes[index])}</th><td class="share">{percent(share)}</td>'
            f'<td><div class="bar" style="background:{color};width:{share:.1%}"></div></td></tr>'
        )
    return f"<table><caption>Share of the pixels</caption>{''.join(rows)}</table>"
