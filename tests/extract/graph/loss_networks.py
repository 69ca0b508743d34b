"""Training graphs whose losses, decisions or averages look like outputs; sizes differ."""

from __future__ import annotations

from typing import Any, Tuple

import numpy
import tensorflow as tf

from tests.extract.graph.networks import classes, images, layers, rows, train, v1


def accumulated_gradients() -> None:
    """Slots shaped by the initial value of a variable: a tf.cond of it and random numbers."""
    output = layers.dense(layers.dense(rows(), 6, tf.nn.relu), 2, name="output")
    for variable in v1.trainable_variables():
        v1.Variable(tf.zeros_like(variable.initialized_value()), trainable=False)
    train(v1.losses.mean_squared_error(rows("y", 2), output))


def sparsity_summary() -> None:
    """tf.nn.zero_fraction counts in a tf.cond by the size of what it reads."""
    hidden = layers.dense(rows(), 6, tf.nn.relu)
    logits = layers.dense(hidden, 4, name="logits")
    for one in (hidden, logits):
        v1.summary.scalar("sparsity", tf.nn.zero_fraction(one))
    train(v1.losses.sparse_softmax_cross_entropy(classes(), logits))


def constant_labels() -> None:
    """tf.losses with weights around a sigmoid cross entropy whose labels are constants."""
    logits = layers.dense(rows(), 1, name="logits")
    train(v1.losses.sigmoid_cross_entropy(tf.ones_like(logits), logits, weights=0.5))


def squared_reconstruction() -> None:
    """What is compared with the input itself has no labels."""
    x = images("x", 2, 8)
    hidden = layers.dense(layers.flatten(x), 5, tf.nn.relu)
    decoded = layers.dense(hidden, 128, tf.nn.sigmoid, name="decoded")
    train(tf.reduce_mean(tf.math.squared_difference(tf.reshape(x, [-1, 128]), decoded)))


def hard_negatives() -> None:
    """A detector: the loss takes the worst of the background, told by the probabilities."""
    hidden = layers.conv2d(images("x", 3, 16), 6, 3, 2, activation=tf.nn.relu)
    scores = tf.reshape(layers.conv2d(hidden, 10, 3), [-1, 50, 5], name="scores")
    label = v1.placeholder(tf.int32, [None, 50], name="label")
    background = 1 - tf.nn.softmax(scores)[:, :, 0]
    entropy = tf.nn.sparse_softmax_cross_entropy_with_logits(logits=scores, labels=label)
    worst = tf.where(label > 0, tf.zeros_like(entropy), background)
    tf.nn.top_k(tf.reshape(worst, [-1]), 3)
    train(tf.reduce_sum(entropy * tf.cast(label > 0, tf.float32)))


def drawn_action() -> None:
    """An action is drawn from logits that are shifted for it."""
    logits = layers.dense(layers.dense(rows("state"), 6, tf.nn.elu), 4, name="logits")
    v1.multinomial(logits - tf.reduce_max(logits, [1], keepdims=True), 1)
    action = v1.placeholder(tf.float32, [None, 4], name="action")
    advantage = v1.placeholder(tf.float32, [None], name="advantage")
    log = tf.reduce_sum(tf.nn.log_softmax(logits) * action, [1])
    train(-tf.reduce_sum(log * advantage))


def temporal_difference() -> None:
    """The target is the reward and a share of the next value."""
    state, later = rows("state"), rows("next")
    with v1.variable_scope("now"):
        value = layers.dense(state, 1, name="value")
    with v1.variable_scope("later"):
        following = layers.dense(later, 1, name="value")
    target = rows("reward", 1) + 0.9 * following
    trained = v1.trainable_variables("now")
    train(v1.losses.mean_squared_error(target, value), trained)


def sparse_words() -> None:
    """Words become a sparse tensor: what the table is asked for is not all that they decide."""
    feature_column = tf.feature_column
    words = v1.placeholder(tf.string, [None, 1], name="word")
    word = feature_column.categorical_column_with_vocabulary_list("word", ["a", "b", "c"])
    numbers = {"x": rows("x", 2), "word": words}
    columns = [
        feature_column.numeric_column("x", 2),
        feature_column.embedding_column(word, 4),
    ]
    output = layers.dense(v1.feature_column.input_layer(numbers, columns), 3, name="output")
    train(v1.losses.sparse_softmax_cross_entropy(classes(), output))


def divided_triplets() -> None:
    """One batch of embeddings, of which each three are a triplet."""
    hidden = layers.dense(rows(), 6, tf.nn.relu)
    embedding = tf.nn.l2_normalize(layers.dense(hidden, 5), 1, name="embedding")
    anchor, near, far = tf.unstack(tf.reshape(embedding, [-1, 3, 5]), 3, 1)
    closer = tf.reduce_sum(tf.square(anchor - near), 1)
    farther = tf.reduce_sum(tf.square(anchor - far), 1)
    train(tf.reduce_mean(tf.maximum(closer - farther + 0.2, 0.0)))


def style_transfer() -> None:
    """A fixed network looks at the picture, neighbours are compared; nothing has a label."""
    picture = images("picture")
    scores = layers.conv2d(picture, 3, 3, padding="same")
    made = tf.add(tf.nn.tanh(scores) * 150, 127.5, name="made")
    fixed = tf.constant(numpy.ones([3, 3, 3, 5], numpy.float32))

    def seen(value: Any) -> Any:
        return tf.nn.relu(tf.nn.conv2d(value, fixed, [1, 1, 1, 1], "SAME"))

    content = tf.nn.l2_loss(seen(made) - seen(picture))
    features = tf.reshape(seen(made), [-1, 256, 5])
    style = tf.nn.l2_loss(tf.matmul(features, features, transpose_a=True) - 3 * tf.ones([5, 5]))
    train(content + style + tf.nn.l2_loss(made[:, 1:] - made[:, :-1]))


def drawn_classes() -> None:
    """word2vec: the loss draws classes, and reads rows of its weights for them."""
    word = v1.placeholder(tf.int32, [16], name="word")
    context = v1.placeholder(tf.int32, [16, 1], name="context")
    found = tf.nn.embedding_lookup(v1.get_variable("embeddings", [60, 9]), word, name="found")
    weights, bias = v1.get_variable("weights", [60, 9]), v1.get_variable("bias", [60])
    train(tf.reduce_mean(tf.nn.nce_loss(weights, bias, context, found, 8, 60)))


def pooled_slices() -> None:
    """Two regressions from one pooled layer, each with a label of its own."""
    hidden = tf.nn.relu(layers.conv2d(images(), 5, 3))
    pooled = layers.max_pooling2d(hidden, 2, 2)
    first, second = tf.slice(pooled, [0, 0, 0, 0], [-1, -1, -1, 2]), pooled[..., 2:]
    difference = tf.reduce_mean(tf.abs(first - images("first", 2, 7)))
    train(difference + tf.reduce_mean(tf.square(second - images("second", 3, 7))))


LOSSES: Tuple[Any, ...] = (
    # (network, inputs, outputs)
    (accumulated_gradients, ["x:0"], ["output/BiasAdd:0"]),
    (sparsity_summary, ["x:0"], ["logits/BiasAdd:0"]),
    (constant_labels, ["x:0"], ["logits/BiasAdd:0"]),
    (squared_reconstruction, ["x:0"], ["decoded/Sigmoid:0"]),
    (hard_negatives, ["x:0"], ["scores:0"]),
    (drawn_action, ["state:0"], ["logits/BiasAdd:0"]),
    (temporal_difference, ["state:0", "next:0"], ["now/value/BiasAdd:0", "later/value/BiasAdd:0"]),
    (divided_triplets, ["x:0"], ["embedding:0"]),
    (style_transfer, ["picture:0"], ["made:0"]),
    (pooled_slices, ["x:0"], ["Slice:0", "strided_slice:0"]),
    (drawn_classes, ["word:0"], ["found/Identity:0"]),
    (sparse_words, ["word:0", "x:0"], ["output/BiasAdd:0"]),
)
