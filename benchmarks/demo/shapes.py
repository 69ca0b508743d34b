"""Drawn shapes: pictures of discs, rings and crosses, each with the mask to be found in it.

Runs on Python 3.7, inside the environment that trains the demo network. Needs numpy only.
"""

from typing import Tuple

import numpy as np

CLASS_NAMES = ("background", "disc", "ring", "cross")
IMAGE_SIZE = 64
SHAPES_PER_IMAGE = 4
SMALLEST_RADIUS = 7.0
LARGEST_RADIUS = 13.0
STROKE = 4.0
NOISE = 0.06


def _shape_region(kind: int, center: np.ndarray, radius: float, angle: float) -> np.ndarray:
    """Boolean region [height, width] of one rotated shape; `kind` indexes CLASS_NAMES."""
    rows, columns = np.mgrid[0:IMAGE_SIZE, 0:IMAGE_SIZE].astype(np.float32)
    down, right = rows - center[0], columns - center[1]
    distance = np.hypot(down, right)
    if CLASS_NAMES[kind] == "disc":
        return np.asarray(distance <= radius)
    if CLASS_NAMES[kind] == "ring":
        return np.asarray((distance <= radius) & (distance >= radius - STROKE))
    along = np.abs(np.cos(angle) * right + np.sin(angle) * down)
    across = np.abs(-np.sin(angle) * right + np.cos(angle) * down)
    narrow = np.minimum(along, across) <= STROKE / 2
    return np.asarray(narrow & (np.maximum(along, across) <= radius))


def draw(random: np.random.RandomState) -> Tuple[np.ndarray, np.ndarray]:
    """One picture [height, width, 3] in 0..1 and its mask [height, width] of classes.

    Every shape has a colour of its own, so a network has to look at the outline.
    """
    ramp = np.linspace(-0.5, 0.5, IMAGE_SIZE, dtype=np.float32)[:, None, None]
    image = random.uniform(0.1, 0.4, (1, 1, 3)) + ramp * random.uniform(-0.2, 0.2, (1, 1, 3))
    image = np.broadcast_to(image, (IMAGE_SIZE, IMAGE_SIZE, 3)).astype(np.float32)
    mask = np.zeros((IMAGE_SIZE, IMAGE_SIZE), np.int32)
    for _ in range(SHAPES_PER_IMAGE):
        kind = random.randint(1, len(CLASS_NAMES))
        radius = random.uniform(SMALLEST_RADIUS, LARGEST_RADIUS)
        center = random.uniform(radius, IMAGE_SIZE - radius, 2)
        region = _shape_region(kind, center, radius, random.uniform(0, 2 * np.pi))
        image[region] = random.uniform(0.5, 1.0, 3)
        mask[region] = kind
    image += random.normal(0.0, NOISE, image.shape)
    return np.clip(image, 0.0, 1.0).astype(np.float32), mask


def draw_batch(count: int, random: np.random.RandomState) -> Tuple[np.ndarray, np.ndarray]:
    """`count` pictures [count, height, width, 3] and masks [count, height, width]."""
    pairs = [draw(random) for _ in range(count)]
    return np.stack([image for image, _ in pairs]), np.stack([mask for _, mask in pairs])


def intersection_over_union(predicted: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Intersection over union per class [classes]; NaN for a class that neither mask holds."""
    scores = np.full(len(CLASS_NAMES), np.nan)
    for kind in range(len(CLASS_NAMES)):
        union = np.sum((predicted == kind) | (truth == kind))
        if union:
            scores[kind] = np.sum((predicted == kind) & (truth == kind)) / union
    return scores
