"""Training graphs as their authors write them, one function each; sizes differ where they can."""

from __future__ import annotations

from typing import Any, Tuple

import numpy
import tensorflow as tf
from tensorflow.contrib import slim

v1 = tf.compat.v1
layers = v1.layers


def images(name: str = "x", channels: int = 3, size: Any = 16) -> Any:
    return v1.placeholder(tf.float32, [None, size, size, channels], name=name)


def rows(name: str = "x", features: int = 9) -> Any:
    return v1.placeholder(tf.float32, [None, features], name=name)


def classes(name: str = "y") -> Any:
    return v1.placeholder(tf.int64, [None], name=name)


def train(loss: Any, variables: Any = None) -> None:
    v1.train.AdamOptimizer(1e-3).minimize(loss, var_list=variables)


def by_hand() -> None:
    """A tutorial's network: tf.Variable, a cross entropy by hand, accuracy, summaries."""
    pixels, label = rows("x", 144), rows("y", 10)
    keep = v1.placeholder(tf.float32, name="dropout")
    image = tf.reshape(pixels, [-1, 12, 12, 1])
    kernel = tf.Variable(v1.truncated_normal([5, 5, 1, 7], stddev=0.1))
    convolved = tf.nn.conv2d(image, kernel, strides=[1, 1, 1, 1], padding="SAME")
    hidden = tf.nn.relu(convolved + tf.Variable(tf.zeros([7])))
    pooled = tf.nn.max_pool(hidden, [1, 2, 2, 1], [1, 2, 2, 1], "SAME")
    flat = tf.reshape(pooled, [-1, 6 * 6 * 7])
    weights = tf.Variable(v1.truncated_normal([6 * 6 * 7, 11]))
    hidden = tf.nn.relu(tf.matmul(flat, weights) + tf.Variable(tf.zeros([11])))
    dropped = tf.nn.dropout(hidden, keep)
    logits = tf.matmul(dropped, tf.Variable(tf.ones([11, 10]))) + tf.Variable(tf.zeros([10]))
    prediction = tf.nn.softmax(logits, name="prediction")
    log = v1.log(tf.clip_by_value(prediction, 1e-10, 1.0))
    loss = tf.reduce_mean(-tf.reduce_sum(label * log, axis=[1]))
    train(loss)
    right = tf.equal(tf.argmax(prediction, 1), tf.argmax(label, 1))
    v1.summary.scalar("accuracy", tf.reduce_mean(tf.cast(right, tf.float32)))
    v1.summary.scalar("loss", loss)
    v1.summary.merge_all()


def from_dataset() -> None:
    """tf.data with an iterator, tf.losses, momentum, a global step and tf.metrics."""
    data = (numpy.zeros([8, 12, 12, 3], numpy.uint8), numpy.zeros([8], numpy.int64))
    batches = tf.data.Dataset.from_tensor_slices(data).repeat().batch(4)
    image, label = v1.data.make_one_shot_iterator(batches).get_next()
    scaled = tf.cast(image, tf.float32) / 255.0
    hidden = layers.conv2d(scaled, 4, 3, activation=tf.nn.relu)
    logits = layers.dense(layers.flatten(hidden), 5, name="logits")
    loss = v1.losses.sparse_softmax_cross_entropy(label, logits)
    v1.train.MomentumOptimizer(0.1, 0.9).minimize(loss, v1.train.get_or_create_global_step())
    v1.metrics.accuracy(label, tf.argmax(logits, 1))


def from_queue() -> None:
    """slim with an input queue, training hard-coded."""
    example = v1.random_uniform([10, 10, 3])
    image, label = v1.train.shuffle_batch([example, tf.constant(1)], 4, 20, 5)
    net = slim.conv2d(image, 6, [3, 3], scope="net/c1")
    net = slim.dropout(slim.flatten(net), 0.5, is_training=True)
    logits = slim.fully_connected(net, 3, activation_fn=None, scope="net/fc")
    v1.losses.sparse_softmax_cross_entropy(label, logits)
    slim.learning.create_train_op(v1.losses.get_total_loss(), v1.train.AdamOptimizer())


def from_text() -> None:
    """Serialised examples come in: what the layers read is the first tensor of numbers."""
    text = v1.placeholder(tf.string, [None], name="examples")
    parsed = v1.parse_example(text, {"x": v1.FixedLenFeature([9], tf.float32)})
    layers.dense(tf.identity(parsed["x"], name="x"), 4, name="scores")


def from_words() -> None:
    """Words come in; the numbers that a table has for them are what the layers read."""
    words = v1.placeholder(tf.string, [None, 4], name="words")
    entries = tf.lookup.KeyValueTensorInitializer(["a", "b"], tf.constant([0, 1], tf.int64))
    numbers = tf.lookup.StaticHashTable(entries, 1).lookup(words, name="numbers")
    rows = tf.nn.embedding_lookup(v1.get_variable("embedding", [9, 5]), numbers)
    layers.dense(tf.reduce_mean(rows, 1), 3, name="scores")


def from_text_as_images() -> None:
    """A row a sample comes in, and the network makes pictures of it: the rows are what it reads."""
    text = v1.placeholder(tf.string, [None], name="examples")
    parsed = v1.parse_example(text, {"x": v1.FixedLenFeature([54], tf.float32)})
    layers.conv2d(tf.reshape(parsed["x"], [-1, 9, 6, 1]), 4, 3, name="scores")


def from_one_text() -> None:
    """One sample comes in without an axis for samples; the first reshape adds it."""
    text = v1.placeholder(tf.string, [], name="example")
    parsed = v1.parse_single_example(text, {"x": v1.FixedLenFeature([9, 6], tf.float32)})
    rows = tf.reshape(parsed["x"], [-1, 54], name="rows")
    layers.conv2d(tf.reshape(rows, [-1, 9, 6, 1]), 4, 3, name="scores")


def recurrent_alone() -> None:
    """Nothing follows the recurrent layer, which reads its own last output at each step."""
    x = v1.placeholder(tf.float32, [None, 7, 5], name="x")
    steps, _ = v1.nn.dynamic_rnn(v1.nn.rnn_cell.LSTMCell(6), x, dtype=tf.float32)
    tf.identity(steps[:, -1], name="last")


def generative_adversarial() -> None:
    """Two networks; the one that judges reads what the other one makes."""
    noise, real = rows("z", 10), images("real", 1, 8)
    with v1.variable_scope("generator"):
        hidden = tf.reshape(layers.dense(noise, 4 * 4 * 3), [-1, 4, 4, 3])
        fake = tf.nn.tanh(layers.conv2d_transpose(hidden, 1, 3, 2, padding="same"), name="sample")

    def judge(image: Any) -> Any:
        with v1.variable_scope("judge", reuse=v1.AUTO_REUSE):
            hidden = tf.nn.leaky_relu(layers.conv2d(image, 4, 3, 2, name="c"))
            return layers.dense(layers.flatten(hidden), 1, name="d")

    def entropy(logits: Any, like: Any) -> Any:
        loss = tf.nn.sigmoid_cross_entropy_with_logits(logits=logits, labels=like(logits))
        return tf.reduce_mean(loss)

    of_real, of_fake = judge(real), judge(fake)
    every = v1.trainable_variables()
    train(
        entropy(of_real, tf.ones_like) + entropy(of_fake, tf.zeros_like),
        [one for one in every if one.name.startswith("judge")],
    )
    train(
        entropy(of_fake, tf.ones_like), [one for one in every if one.name.startswith("generator")]
    )


def variational_autoencoder() -> None:
    """The loss sees no labels; mean and variance of the code end in it as well."""
    image = rows("x", 20)
    hidden = layers.dense(image, 8, tf.nn.relu)
    mean, log_variance = layers.dense(hidden, 3), layers.dense(hidden, 3)
    code = mean + tf.exp(log_variance / 2) * v1.random_normal(tf.shape(mean))
    decoded = layers.dense(layers.dense(code, 7, tf.nn.relu), 20, tf.nn.sigmoid, name="decoder")
    log = image * v1.log(1e-8 + decoded) + (1 - image) * v1.log(1e-8 + 1 - decoded)
    divergence = 1 + log_variance - tf.square(mean) - tf.exp(log_variance)
    train(tf.reduce_mean(-tf.reduce_sum(log, 1) - 0.5 * tf.reduce_sum(divergence, 1)))


def autoencoder() -> None:
    image = images("inputs", 2)
    hidden = layers.conv2d(image, 5, 3, 2, padding="same", activation=tf.nn.relu)
    decoded = layers.conv2d_transpose(hidden, 2, 3, 2, padding="same", name="decoded")
    loss = tf.reduce_mean(tf.square(decoded - image))
    train(loss)
    v1.summary.image("decoded", decoded)
    v1.summary.scalar("loss", loss)


def shared(value: Any) -> Any:
    with v1.variable_scope("tower", reuse=v1.AUTO_REUSE):
        return layers.dense(layers.dense(value, 5, tf.nn.relu, name="a"), 4, name="b")


def siamese_contrastive() -> None:
    """One set of weights used twice; the heads meet in a distance, the label in the loss."""
    left, right = shared(rows("left")), shared(rows("right"))
    same = v1.placeholder(tf.float32, [None], name="same")
    distance = tf.sqrt(tf.reduce_sum(tf.square(left - right), 1))
    near = same * tf.square(distance)
    far = (1 - same) * tf.square(tf.maximum(1.0 - distance, 0))
    train(tf.reduce_mean(near + far))


def siamese_classifier() -> None:
    """As above, but further layers judge the difference."""
    label = v1.placeholder(tf.float32, [None], name="label")
    difference = tf.abs(shared(rows("left")) - shared(rows("right")))
    logits = tf.squeeze(layers.dense(difference, 1, name="o"), 1)
    probability = tf.sigmoid(logits, name="probability")
    train(v1.losses.sigmoid_cross_entropy(label, logits))
    tf.equal(tf.round(probability), label)


def triplet() -> None:
    first, second, third = (
        tf.nn.l2_normalize(shared(rows(name)), 1, name=f"{name}_embedding")
        for name in ("anchor", "near", "far")
    )
    near = tf.reduce_sum(tf.square(first - second), 1)
    far = tf.reduce_sum(tf.square(first - third), 1)
    train(tf.reduce_mean(tf.maximum(near - far + 0.2, 0)))


def character_lstm() -> None:
    """dynamic_rnn with a dropout wrapper, sequence loss, clipped gradients."""
    characters = v1.placeholder(tf.int32, [5, 7], name="characters")
    targets = v1.placeholder(tf.int32, [5, 7], name="targets")
    keep = v1.placeholder(tf.float32, name="keep_prob")
    embedded = tf.nn.embedding_lookup(v1.get_variable("embedding", [30, 8]), characters)
    cell = v1.nn.rnn_cell.BasicLSTMCell(6)
    cell = v1.nn.rnn_cell.DropoutWrapper(cell, output_keep_prob=keep)
    hidden, _ = v1.nn.dynamic_rnn(cell, embedded, dtype=tf.float32)
    kernel, bias = v1.get_variable("softmax_w", [6, 30]), v1.get_variable("softmax_b", [30])
    logits = tf.matmul(tf.reshape(hidden, [-1, 6]), kernel) + bias
    tf.nn.softmax(logits, name="probabilities")
    loss = tf.reduce_mean(
        tf.nn.sparse_softmax_cross_entropy_with_logits(
            labels=tf.reshape(targets, [-1]), logits=logits
        )
    )
    trained = v1.trainable_variables()
    gradients, _ = tf.clip_by_global_norm(tf.gradients(loss, trained), 5.0)
    v1.train.AdamOptimizer(tf.Variable(0.1, trainable=False)).apply_gradients(
        zip(gradients, trained)
    )


def static_lstm() -> None:
    """Unrolled: nothing reads the last state, which is no output."""
    sequence = v1.placeholder(tf.float32, [None, 3, 5], name="sequence")
    cell = v1.nn.rnn_cell.BasicLSTMCell(6, state_is_tuple=False)
    outputs, _ = v1.nn.static_rnn(cell, tf.unstack(sequence, axis=1), dtype=tf.float32)
    logits = layers.dense(outputs[-1], 4, name="logits")
    train(v1.losses.sparse_softmax_cross_entropy(classes(), logits))


def speech_ctc() -> None:
    features = v1.placeholder(tf.float32, [None, None, 13], name="features")
    lengths = v1.placeholder(tf.int32, [None], name="lengths")
    labels = v1.sparse_placeholder(tf.int32, name="labels")
    cell = v1.nn.rnn_cell.LSTMCell(6)
    hidden, _ = v1.nn.dynamic_rnn(cell, features, lengths, dtype=tf.float32)
    logits = tf.transpose(layers.dense(hidden, 8), (1, 0, 2), name="time_major")
    train(tf.reduce_mean(v1.nn.ctc_loss(labels, logits, lengths)))
    decoded, _ = tf.nn.ctc_greedy_decoder(logits, lengths)
    tf.reduce_mean(tf.edit_distance(tf.cast(decoded[0], tf.int32), labels))


def deep_q() -> None:
    """An online and a target network; rewards and actions meet them in the loss."""
    state, following = rows("state", 6), rows("following", 6)
    action = v1.placeholder(tf.int32, [None], name="action")
    reward = v1.placeholder(tf.float32, [None], name="reward")
    values = layers.dense(layers.dense(state, 5, tf.nn.relu, name="h"), 3, name="q")
    targets = layers.dense(layers.dense(following, 5, tf.nn.relu, name="th"), 3, name="tq")
    target = tf.stop_gradient(reward + 0.9 * tf.reduce_max(targets, 1))
    taken = tf.reduce_sum(values * tf.one_hot(action, 3), 1)
    every = v1.trainable_variables()
    v1.train.RMSPropOptimizer(0.1).minimize(
        tf.reduce_mean(v1.squared_difference(target, taken)), var_list=every[:4]
    )
    for old, new in zip(every[4:], every[:4]):
        v1.assign(old, new)


def actor_critic() -> None:
    state, reward = rows("state", 6), rows("reward", 1)
    action = v1.placeholder(tf.int32, [None], name="action")
    hidden = layers.dense(state, 5, tf.nn.relu6)
    policy = layers.dense(hidden, 3, tf.nn.softmax, name="policy")
    value = layers.dense(hidden, 1, name="value")
    advantage = reward - value
    chosen = tf.reduce_sum(v1.log(policy) * tf.one_hot(action, 3), axis=1, keepdims=True)
    entropy = -tf.reduce_sum(policy * v1.log(policy + 1e-5), axis=1, keepdims=True)
    actor = tf.reduce_mean(-(chosen * tf.stop_gradient(advantage) + 0.01 * entropy))
    train(actor + tf.reduce_mean(tf.square(advantage)))


def two_devices() -> None:
    """One tower a device: the same network twice, which is one network."""
    batch = v1.placeholder(tf.float32, [8, 9], name="x")
    label = v1.placeholder(tf.int32, [8], name="y")
    losses = []
    for index, (part, labels) in enumerate(zip(tf.split(batch, 2), tf.split(label, 2))):
        with tf.name_scope(f"device_{index}"):
            logits = shared(part)
            losses.append(
                tf.reduce_mean(
                    tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)
                )
            )
    train(tf.add_n(losses))


def training_and_serving() -> None:
    """A queue feeds the network for training, a placeholder feeds it once more."""
    example, label = v1.train.batch([v1.random_uniform([9]), tf.constant(1, tf.int64)], 4)
    with tf.name_scope("training"):
        logits = shared(example)
    train(v1.losses.sparse_softmax_cross_entropy(label, logits))
    with tf.name_scope("serving"):
        shared(rows("x"))


def residual_of_image() -> None:
    """Super resolution: the output is the input plus what the layers add; weights decay."""
    small, large = images("small", 1), images("large", 1)
    hidden = layers.conv2d(small, 4, 3, padding="same", activation=tf.nn.relu)
    output = tf.add(small, layers.conv2d(hidden, 1, 3, padding="same"), name="output")
    decay = tf.add_n([tf.nn.l2_loss(one) for one in v1.trainable_variables()])
    train(tf.nn.l2_loss(output - large) + 1e-4 * decay)


def segmentation_with_annotation() -> None:
    """Fully convolutional: argmax, image summaries; the class scores are the output."""
    image = images("image", 3, 32)
    annotation = v1.placeholder(tf.int32, [None, 32, 32, 1], name="annotation")
    keep = v1.placeholder(tf.float32, name="keep_probabilty")
    hidden = layers.conv2d(image, 8, 3, 2, padding="same", activation=tf.nn.relu)
    hidden = tf.nn.dropout(hidden, keep_prob=keep)
    kernel, bias = v1.get_variable("t/W", [4, 4, 5, 8]), v1.get_variable("t/b", [5])
    sizes = tf.shape(image)
    shape = tf.stack([sizes[0], sizes[1], sizes[2], 5])
    scores = tf.add(tf.nn.conv2d_transpose(hidden, kernel, shape, [1, 2, 2, 1]), bias, "scores")
    predicted = tf.expand_dims(tf.argmax(scores, 3, name="prediction"), 3)
    labels = tf.squeeze(annotation, [3])
    entropy = tf.nn.sparse_softmax_cross_entropy_with_logits(logits=scores, labels=labels)
    train(tf.reduce_mean(entropy))
    v1.summary.image("predicted", tf.cast(predicted, tf.uint8))


def segmentation_in_rows() -> None:
    """The loss wants pixels in rows; the model gives images."""
    image, label = images("x", 3, None), images("y", 4, None)
    training = v1.placeholder(tf.bool)
    hidden = layers.batch_normalization(layers.conv2d(image, 6, 3), training=training)
    scores = layers.conv2d(tf.nn.relu(hidden), 4, 1, name="scores")
    entropy = tf.nn.softmax_cross_entropy_with_logits(
        logits=tf.reshape(scores, [-1, 4]), labels=tf.reshape(label, [-1, 4])
    )
    with tf.control_dependencies(v1.get_collection(v1.GraphKeys.UPDATE_OPS)):
        train(tf.reduce_mean(entropy))


def overlap_loss() -> None:
    image, label = images("x"), images("y", 1)
    hidden = layers.conv2d(image, 6, 3, padding="same", activation=tf.nn.relu)
    mask = tf.sigmoid(layers.conv2d(hidden, 1, 1), name="mask")
    both = tf.reduce_sum(mask * label)
    train(1 - (2 * both + 1) / (tf.reduce_sum(mask) + tf.reduce_sum(label) + 1))
    tf.reduce_mean(tf.cast(mask > 0.5, tf.float32) * label)


def keras_model() -> None:
    """tf.keras in graph mode: resource variables, a learning phase, compiled for training."""
    keras = tf.keras
    model = keras.Sequential(
        [
            keras.layers.InputLayer([12, 12, 3], name="image"),
            keras.layers.Conv2D(4, 3, activation="relu"),
            keras.layers.BatchNormalization(),
            keras.layers.DepthwiseConv2D(3),
            keras.layers.SeparableConv2D(6, 3),
            keras.layers.Dropout(0.3),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(5, activation="softmax"),
        ]
    )
    model.compile("adam", "categorical_crossentropy", metrics=["accuracy"])
    model._make_train_function()


def scaled_summary() -> None:
    """Summaries of images that are first scaled to their own extremes."""
    probability = tf.nn.softmax(layers.conv2d(images("x"), 2, 3), name="probability")
    picture = probability[:, :, :, 1:]
    picture -= tf.reduce_min(picture)
    picture /= tf.reduce_max(picture)
    v1.summary.image("picture", tf.reshape(picture * 255, [-1, 14, 14, 1]))
    train(tf.reduce_mean(tf.square(probability - images("y", 2, 14))))


def sequence_decoder() -> None:
    """A decoder inside a while loop: only what leaves the loop can be fetched."""
    contrib = tf.contrib.seq2seq
    sequence = v1.placeholder(tf.float32, [5, 7, 3], name="sequence")
    targets = v1.placeholder(tf.int32, [5, 7], name="targets")
    cell = v1.nn.rnn_cell.GRUCell(6)
    helper = contrib.TrainingHelper(sequence, tf.fill([5], 7))
    start = cell.zero_state(5, tf.float32)
    decoder = contrib.BasicDecoder(cell, helper, start, layers.Dense(4))
    output, _, _ = contrib.dynamic_decode(decoder)
    logits = tf.identity(output.rnn_output, name="logits")
    train(contrib.sequence_loss(logits, targets, tf.ones([5, 7])))


def two_heads() -> None:
    hidden = layers.dense(rows("x"), 7, tf.nn.relu)
    scores, value = layers.dense(hidden, 4, name="class"), layers.dense(hidden, 1, name="value")
    first = v1.losses.sparse_softmax_cross_entropy(classes("y1"), scores)
    train(first + v1.losses.mean_squared_error(rows("y2", 1), value))


def two_slices() -> None:
    """One last layer of which the loss reads two parts."""
    both = layers.conv2d(images("x"), 5, 3)
    boxes, scores = both[..., :4], both[..., 4:]
    box_label, label = images("box_label", 4, 14), images("label", 1, 14)
    entropy = tf.nn.sigmoid_cross_entropy_with_logits(logits=scores, labels=label)
    train(tf.reduce_mean(tf.abs(boxes - box_label)) + tf.reduce_mean(entropy))


def two_kinds_of_input() -> None:
    """A table in three parts, and numbers beside it."""
    numbers = rows("x")
    identifiers = v1.placeholder(tf.int64, [None], name="identifiers")
    table = v1.get_variable("table", [50, 4], partitioner=v1.fixed_size_partitioner(3))
    found = tf.nn.embedding_lookup(table, identifiers, partition_strategy="div")
    hidden = layers.dense(tf.concat([numbers, found], 1), 6, tf.nn.tanh)
    output = layers.dense(hidden, 1, name="output")
    train(tf.reduce_mean(tf.square(rows("y", 1) - output)))


def centre_loss() -> None:
    """The labels index a variable too, but only a loss reads what they find there."""
    label = classes()
    features = layers.dense(rows("x"), 6, tf.nn.relu, name="features")
    logits = layers.dense(features, 4, name="logits")
    centres = v1.get_variable("centres", [4, 6], trainable=False)
    distance = tf.square(features - tf.gather(centres, label))
    entropy = v1.losses.sparse_softmax_cross_entropy(label, logits)
    train(entropy + 0.1 * tf.reduce_mean(distance))


def attention() -> None:
    """The classifier of a transformer: an embedding, hard-coded dropout, a log softmax."""
    words = v1.placeholder(tf.int32, [2, 7], name="words")
    label = v1.placeholder(tf.int32, [2], name="label")
    embedded = tf.nn.embedding_lookup(v1.get_variable("word_embeddings", [30, 8]), words)
    query, key, value = (layers.dense(embedded, 8, name=name) for name in ("q", "k", "v"))
    weights = tf.nn.softmax(tf.matmul(query, key, transpose_b=True) / 2.8)
    mixed = tf.matmul(tf.nn.dropout(weights, 0.9), value)
    pooled = layers.dense(tf.squeeze(mixed[:, 0:1, :], 1), 6, tf.tanh)
    kernel, bias = v1.get_variable("output_weights", [2, 6]), v1.get_variable("output_bias", [2])
    logits = tf.nn.bias_add(tf.matmul(pooled, kernel, transpose_b=True), bias)
    tf.nn.softmax(logits, name="probabilities")
    log = tf.nn.log_softmax(logits)
    train(tf.reduce_mean(-tf.reduce_sum(tf.one_hot(label, 2) * log, -1)))


def averaged_loss() -> None:
    """The loss has a moving average and a summary: the network does not lead only to these."""
    logits = layers.dense(rows("x"), 4, name="logits")
    loss = v1.losses.sparse_softmax_cross_entropy(classes(), logits)
    average = tf.train.ExponentialMovingAverage(0.9)
    average.apply([loss])
    v1.summary.scalar("loss", average.average(loss))
    train(loss)


def branch_reads_output() -> None:
    """A training branch reads the logits: they are an output nevertheless."""
    training = v1.placeholder(tf.bool, name="is_training")
    logits = layers.dense(rows("x"), 4, name="logits")
    noise = v1.random_uniform([4])
    tf.cond(training, lambda: tf.reduce_sum(logits * noise), lambda: tf.constant(0.0))


def named_collection() -> None:
    """The author says which tensor is the prediction."""
    logits = layers.dense(rows("x"), 4, name="logits")
    v1.add_to_collection("pred_network", tf.nn.softmax(logits, name="prediction"))
    v1.add_to_collection("pred_network", layers.dense(logits, 2, name="second"))
    layers.dense(logits, 3, name="unsaid")


def random_noise_only() -> None:
    """No placeholder: what the network draws at random is its input."""
    layers.dense(v1.random_normal([5, 3]), 4, name="made")


EVERY: Tuple[Any, ...] = (
    # (network, inputs, outputs)
    (by_hand, ["x:0"], ["prediction:0"]),
    (from_dataset, ["IteratorGetNext:0"], ["logits/BiasAdd:0"]),
    (from_queue, ["shuffle_batch:0"], ["net/fc/BiasAdd:0"]),
    (from_text, ["ParseExample/ParseExample:0"], ["scores/BiasAdd:0"]),
    (from_words, ["numbers/LookupTableFindV2:0"], ["scores/BiasAdd:0"]),
    (from_text_as_images, ["ParseExample/ParseExample:0"], ["scores/BiasAdd:0"]),
    (from_one_text, ["rows:0"], ["scores/BiasAdd:0"]),
    (recurrent_alone, ["x:0"], ["last:0"]),
    (variational_autoencoder, ["x:0"], ["decoder/Sigmoid:0"]),
    (autoencoder, ["inputs:0"], ["decoded/BiasAdd:0"]),
    (siamese_contrastive, ["left:0", "right:0"], ["tower/b/BiasAdd:0", "tower_1/b/BiasAdd:0"]),
    (siamese_classifier, ["left:0", "right:0"], ["probability:0"]),
    (
        triplet,
        ["anchor:0", "near:0", "far:0"],
        ["anchor_embedding:0", "near_embedding:0", "far_embedding:0"],
    ),
    (character_lstm, ["characters:0"], ["probabilities:0"]),
    (static_lstm, ["sequence:0"], ["logits/BiasAdd:0"]),
    (speech_ctc, ["features:0", "lengths:0"], ["time_major:0"]),
    (deep_q, ["state:0", "following:0"], ["q/BiasAdd:0", "tq/BiasAdd:0"]),
    (actor_critic, ["state:0"], ["policy/Softmax:0", "value/BiasAdd:0"]),
    (two_devices, ["x:0"], ["device_0/tower/b/BiasAdd:0"]),
    (training_and_serving, ["serving/x:0"], ["serving/tower/b/BiasAdd:0"]),
    (residual_of_image, ["small:0"], ["output:0"]),
    (segmentation_with_annotation, ["image:0"], ["scores:0"]),
    (segmentation_in_rows, ["x:0"], ["scores/BiasAdd:0"]),
    (overlap_loss, ["x:0"], ["mask:0"]),
    (keras_model, ["image:0"], ["dense/Softmax:0"]),
    (scaled_summary, ["x:0"], ["probability:0"]),
    (sequence_decoder, ["sequence:0"], ["logits:0"]),
    (two_heads, ["x:0"], ["class/BiasAdd:0", "value/BiasAdd:0"]),
    (two_slices, ["x:0"], ["strided_slice:0", "strided_slice_1:0"]),
    (two_kinds_of_input, ["x:0", "identifiers:0"], ["output/BiasAdd:0"]),
    (centre_loss, ["x:0"], ["logits/BiasAdd:0"]),
    (attention, ["words:0"], ["probabilities:0"]),
    (averaged_loss, ["x:0"], ["logits/BiasAdd:0"]),
    (branch_reads_output, ["x:0"], ["logits/BiasAdd:0"]),
    (named_collection, ["x:0"], ["prediction:0", "second/BiasAdd:0"]),
    (random_noise_only, ["random_normal:0"], ["made/BiasAdd:0"]),
)
