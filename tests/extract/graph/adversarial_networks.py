"""Training graphs in which one network judges what another one makes; sizes differ."""

from __future__ import annotations

from typing import Any, Tuple

import tensorflow as tf

from tests.extract.graph.networks import generative_adversarial, images, layers, rows, train, v1


def judge(value: Any, scope: str = "judge") -> Any:
    with v1.variable_scope(scope, reuse=v1.AUTO_REUSE):
        hidden = tf.nn.leaky_relu(layers.conv2d(value, 4, 3, 2, name="c"))
        return layers.conv2d(hidden, 1, 3, name="d")


def translate(image: Any, scope: str) -> Any:
    with v1.variable_scope(scope, reuse=v1.AUTO_REUSE):
        hidden = layers.conv2d(image, 5, 3, padding="same", activation=tf.nn.relu, name="a")
        return tf.nn.tanh(layers.conv2d(hidden, 3, 3, padding="same", name="b"), name="made")


def of(scope: str) -> Any:
    return v1.trainable_variables(scope)


def paired_translation() -> None:
    """The critic sees pairs, padded; the made picture is compared with the true one as well."""
    given, wanted = images("given"), images("wanted")
    made = translate(given, "maker")

    def verdict(picture: Any) -> Any:
        pair = tf.pad(tf.concat([given, picture], 3), [[0, 0], [1, 1], [1, 1], [0, 0]])
        return tf.sigmoid(judge(pair))

    real, fake = verdict(wanted), verdict(made)
    train(tf.reduce_mean(-(v1.log(real + 1e-9) + v1.log(1 - fake + 1e-9))), of("judge"))
    difference = tf.reduce_mean(tf.abs(wanted - made))
    train(100 * difference - tf.reduce_mean(v1.log(fake + 1e-9)), of("maker"))


def cycle() -> None:
    """Two makers, two critics, and each picture made back again."""
    first, second = images("first"), images("second")
    as_second, as_first = translate(first, "to_second"), translate(second, "to_first")
    back, forth = translate(as_second, "to_first"), translate(as_first, "to_second")
    loss = tf.reduce_mean(tf.abs(first - back)) + tf.reduce_mean(tf.abs(second - forth))
    for name, real, made in (("of_second", second, as_second), ("of_first", first, as_first)):
        on_real, on_made = judge(real, name), judge(made, name)
        squares = tf.reduce_mean(tf.square(on_made))
        train(squares + tf.reduce_mean(tf.math.squared_difference(on_real, 1)), of(name))
        loss += tf.reduce_mean(tf.math.squared_difference(on_made, 1))
    train(loss, of("to_"))


def penalised() -> None:
    """The critic also sees mixtures of both, of which only the gradient is used."""
    noise, real = rows("noise", 10), images("real", 3, 8)
    with v1.variable_scope("maker"):
        hidden = tf.reshape(layers.dense(noise, 4 * 4 * 3), [-1, 4, 4, 3])
        made = tf.nn.tanh(layers.conv2d_transpose(hidden, 3, 3, 2, padding="same"), name="made")
    share = v1.random_uniform([tf.shape(real)[0], 1, 1, 1])
    mixed = real + share * (made - real)
    on_real, on_made, on_mixed = judge(real), judge(made), judge(mixed)
    slope = tf.sqrt(tf.reduce_sum(tf.square(tf.gradients(on_mixed, mixed)[0]), [1, 2, 3]))
    penalty = tf.reduce_mean(tf.square(slope - 1.0))
    train(tf.reduce_mean(on_made) - tf.reduce_mean(on_real) + 10 * penalty, of("judge"))
    train(-tf.reduce_mean(on_made), of("maker"))


def autoencoder_and_sampler() -> None:
    """A decoder reads codes and what an encoder makes, and judges nothing."""
    image, code = rows("image", 20), rows("code", 3)

    def decode(value: Any) -> Any:
        with v1.variable_scope("decoder", reuse=v1.AUTO_REUSE):
            return layers.dense(layers.dense(value, 7, tf.nn.relu, name="a"), 20, name="b")

    restored = decode(layers.dense(image, 3, name="encoder"))
    sampled = tf.sigmoid(decode(code), name="sampled")
    entropy = tf.nn.sigmoid_cross_entropy_with_logits(logits=restored, labels=image)
    train(tf.reduce_mean(entropy))
    v1.summary.histogram("sampled", sampled)


ADVERSARIAL: Tuple[Any, ...] = (
    # (network, inputs, outputs)
    (generative_adversarial, ["real:0", "z:0"], ["judge/d/BiasAdd:0", "generator/sample:0"]),
    (paired_translation, ["given:0", "wanted:0"], ["Sigmoid:0", "maker/made:0"]),
    (
        cycle,
        ["second:0", "first:0"],
        ["of_second/d/BiasAdd:0", "of_first/d/BiasAdd:0", "to_second/made:0", "to_first/made:0"],
    ),
    (penalised, ["real:0", "noise:0"], ["judge/d/BiasAdd:0", "maker/made:0"]),
    (
        autoencoder_and_sampler,
        ["image:0", "code:0"],
        ["decoder/b/BiasAdd:0", "sampled:0"],
    ),
)
