"""HDF5 files of Keras for the tests, written by tf.keras of TensorFlow 1.15 itself."""

from __future__ import annotations

from typing import Any, Callable, Dict, NamedTuple

import numpy
import tensorflow

keras = tensorflow.keras
layers = keras.layers


class Saved(NamedTuple):
    """A file, and what Keras says of the model in it.

    Attributes:
        path: the file.
        weights: values by name, as Keras' own variables have them.
        input: a batch.
        output: what `model.predict` gives for it.
    """

    path: Any
    weights: Dict[str, Any]
    input: Any
    output: Any


def save(path: Any, build: Callable[[], Any], whole: bool = True, train: bool = False) -> Saved:
    """Build a model, give every weight another value, and save it."""
    random = numpy.random.RandomState(11)
    with tensorflow.Graph().as_default(), tensorflow.compat.v1.Session() as session:
        keras.backend.set_session(session)
        model = build()
        model.set_weights([random.uniform(0.2, 1.0, one.shape) for one in model.get_weights()])
        batch = random.rand(2, *(size or 8 for size in model.input_shape[1:])).astype("float32")
        if train:
            model.compile("adam", "mse")
            model.fit(batch, model.predict(batch) + 1, verbose=0)
        (model.save if whole else model.save_weights)(str(path))
        names = [variable.name.partition(":")[0] for variable in model.weights]
        values = session.run(model.weights)
        return Saved(path, dict(zip(names, values)), batch, model.predict(batch))


def sequential() -> Any:
    """A few plain layers; every size differs."""
    return keras.Sequential(
        [
            layers.Conv2D(
                5, 3, strides=2, padding="same", activation="relu", input_shape=(9, 7, 3)
            ),
            layers.BatchNormalization(),
            layers.DepthwiseConv2D(2, depth_multiplier=2),
            layers.Dropout(0.5),
            layers.Flatten(),
            layers.Dense(11, activation="tanh", name="named"),
        ]
    )


def branches() -> Any:
    """Two branches, one of them frozen, that meet, and ops of TensorFlow between."""
    image = layers.Input((9, 7, 3))
    left = layers.Conv2D(4, 3, padding="same", name="left")(image)
    frozen = layers.BatchNormalization(trainable=False)
    right = frozen(layers.SeparableConv2D(4, 3, padding="same")(image))
    joined = layers.Concatenate()([left, right])
    return keras.Model(image, layers.GlobalAveragePooling2D()(tensorflow.nn.relu(joined) * 2.0))


def nested() -> Any:
    """A model inside of a model."""
    inner = keras.Sequential([layers.Dense(6, input_shape=(4,)), layers.BatchNormalization()])
    return keras.Sequential([layers.Dense(4, input_shape=(3,)), inner, layers.Dense(2)])


def recurrent() -> Any:
    """Layers around a loop, in both directions."""
    words = layers.Input((6,), dtype="int32")
    steps = layers.Embedding(13, 5)(words)
    steps = layers.Bidirectional(layers.LSTM(4, return_sequences=True))(steps)
    return keras.Model(words, layers.TimeDistributed(layers.Dense(3))(steps))


def upsampling() -> Any:
    """A small U: down, up by a transposed convolution, and a skip."""
    image = layers.Input((None, None, 2))
    first = layers.Conv2D(3, 3, padding="same", activation="relu")(image)
    deep = layers.Conv2D(5, 3, padding="same", activation="relu")(layers.MaxPooling2D()(first))
    up = layers.Conv2DTranspose(4, 2, strides=2, padding="same")(deep)
    joined = layers.Concatenate()([first, up])
    return keras.Model(image, layers.Conv2D(1, 1, activation="sigmoid")(joined))


def _twice(image: Any, channels: int) -> Any:
    for _ in range(2):
        image = layers.Conv2D(channels, 3, padding="same", activation="relu")(image)
    return image


def unet() -> Any:
    """A UNet as it is commonly written in Keras, with dropout at the bottom."""
    image = layers.Input((32, 48, 2))
    first = _twice(image, 4)
    second = _twice(layers.MaxPooling2D()(first), 6)
    bottom = layers.Dropout(0.5)(_twice(layers.MaxPooling2D()(second), 8))
    for skip, channels in ((second, 6), (first, 4)):
        up = layers.UpSampling2D()(bottom)
        up = layers.Conv2D(channels, 2, padding="same", activation="relu")(up)
        bottom = _twice(layers.concatenate([skip, up], axis=3), channels)
    return keras.Model(image, layers.Conv2D(1, 1, activation="sigmoid")(bottom))


def small() -> Any:
    """Three layers that a module of torch has as well."""
    return keras.Sequential(
        [
            layers.InputLayer((9, 7, 3)),
            layers.Conv2D(5, 3, strides=2),
            layers.BatchNormalization(),
            layers.Conv2D(4, 1),
        ]
    )
