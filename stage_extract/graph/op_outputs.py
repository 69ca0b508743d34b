"""The names of the outputs of ops that have several, in their order.

Inside a function a tensor is called "node:output:place", where a graph says "node:index". Most
files hold the definitions of their ops; this table, TensorFlow 1.15's own, serves those that do
not. An op that is not in it has one output, or one list of them.
"""

from __future__ import annotations

from typing import Dict, NamedTuple, Tuple


class Output(NamedTuple):
    """One output of an op, or a list of them.

    Attributes:
        name: what TensorFlow calls it.
        length: the attribute that holds the list's length, or one type for each; "" for no list.
    """

    name: str
    length: str


# op, then each output; "decoded*top_paths" is a list whose length is the attribute "top_paths".
_ROWS = """
AllCandidateSampler sampled_candidates true_expected_count sampled_expected_count
AnonymousIteratorV2 handle deleter
AnonymousMemoryCache handle deleter
AnonymousMultiDeviceIterator handle deleter
AnonymousRandomSeedGenerator handle deleter
BarrierTakeMany indices keys values*component_types
Batch batched_tensors*T batch_index id
BatchNormWithGlobalNormalizationGrad dx dm dv db dg
BatchSelfAdjointEigV2 e v
BatchSvd s u v
BipartiteMatch row_to_col_match_indices col_to_row_match_indices
BlockLSTM i cs f o ci co h
BlockLSTMGrad x_grad cs_prev_grad h_prev_grad w_grad wci_grad wcf_grad wco_grad b_grad
BlockLSTMGradV2 x_grad cs_prev_grad h_prev_grad w_grad wci_grad wcf_grad wco_grad b_grad
BlockLSTMV2 i cs f o ci co h
BroadcastGradientArgs r0 r1
CTCBeamSearchDecoder decoded_indices*top_paths decoded_values*top_paths decoded_shape*top_paths \
  log_probability
CTCGreedyDecoder decoded_indices decoded_values decoded_shape log_probability
CTCLoss loss gradient
CombinedNonMaxSuppression nmsed_boxes nmsed_scores nmsed_classes valid_detections
ComputeAccidentalHits indices ids weights
CudnnRNN output output_h output_c reserve_space
CudnnRNNParamsToCanonical weights*num_params biases*num_params
CudnnRNNParamsToCanonicalV2 weights*num_params_weights biases*num_params_biases
CudnnRNNV2 output output_h output_c reserve_space host_reserved
CudnnRNNV3 output output_h output_c reserve_space host_reserved
DecodeProtoV2 sizes values*output_types
DecodeWav audio sample_rate
DenseToDenseSetOperation result_indices result_values result_shape
DenseToSparseSetOperation result_indices result_values result_shape
DeserializeManySparse sparse_indices sparse_values sparse_shape
DeserializeSparse sparse_indices sparse_values sparse_shape
FakeQuantWithMinMaxVarsGradient backprops_wrt_input backprop_wrt_min backprop_wrt_max
FakeQuantWithMinMaxVarsPerChannelGradient backprops_wrt_input backprop_wrt_min backprop_wrt_max
FixedUnigramCandidateSampler sampled_candidates true_expected_count sampled_expected_count
FractionalAvgPool output row_pooling_sequence col_pooling_sequence
FractionalMaxPool output row_pooling_sequence col_pooling_sequence
FusedBatchNorm y batch_mean batch_variance reserve_space_1 reserve_space_2
FusedBatchNormGrad x_backprop scale_backprop offset_backprop reserve_space_3 reserve_space_4
FusedBatchNormGradV2 x_backprop scale_backprop offset_backprop reserve_space_3 reserve_space_4
FusedBatchNormGradV3 x_backprop scale_backprop offset_backprop reserve_space_4 reserve_space_5
FusedBatchNormV2 y batch_mean batch_variance reserve_space_1 reserve_space_2
FusedBatchNormV3 y batch_mean batch_variance reserve_space_1 reserve_space_2 reserve_space_3
GRUBlockCell r u c h
GRUBlockCellGrad d_x d_h_prev d_c_bar d_r_bar_u_bar
GenerateVocabRemapping remapping num_present
LSTMBlockCell i cs f o ci co h
LSTMBlockCellGrad cs_prev_grad dicfo wci_grad wcf_grad wco_grad
LearnedUnigramCandidateSampler sampled_candidates true_expected_count sampled_expected_count
ListDiff out idx
LogMatrixDeterminant sign log_abs_determinant
LogUniformCandidateSampler sampled_candidates true_expected_count sampled_expected_count
LookupTableExport keys values
LookupTableExportV2 keys values
Lu lu p
MapUnstageNoKey key values*dtypes
MaxPoolWithArgmax output argmax
Merge output value_index
NearestNeighbors nearest_center_indices nearest_center_distances
NonMaxSuppressionV4 selected_indices valid_outputs
NonMaxSuppressionV5 selected_indices selected_scores valid_outputs
OrderedMapUnstageNoKey key values*dtypes
ParseExample sparse_indices*Nsparse sparse_values*sparse_types sparse_shapes*Nsparse \
  dense_values*Tdense
ParseSingleExample sparse_indices*num_sparse sparse_values*sparse_types sparse_shapes*num_sparse \
  dense_values*Tdense
Qr q r
QuantizeDownAndShrinkRange output output_min output_max
QuantizeV2 output output_min output_max
QuantizedAdd z min_z max_z
QuantizedAvgPool output min_output max_output
QuantizedBatchNormWithGlobalNormalization result result_min result_max
QuantizedBiasAdd output min_out max_out
QuantizedConcat output output_min output_max
QuantizedConv2D output min_output max_output
QuantizedConv2DAndRelu output min_output max_output
QuantizedConv2DAndReluAndRequantize output min_output max_output
QuantizedConv2DAndRequantize output min_output max_output
QuantizedConv2DPerChannel output min_output max_output
QuantizedConv2DWithBias output min_output max_output
QuantizedConv2DWithBiasAndRelu output min_output max_output
QuantizedConv2DWithBiasAndReluAndRequantize output min_output max_output
QuantizedConv2DWithBiasAndRequantize output min_output max_output
QuantizedConv2DWithBiasSignedSumAndReluAndRequantize output min_output max_output
QuantizedConv2DWithBiasSumAndRelu output min_output max_output
QuantizedConv2DWithBiasSumAndReluAndRequantize output min_output max_output
QuantizedDepthwiseConv2D output min_output max_output
QuantizedDepthwiseConv2DWithBias output min_output max_output
QuantizedDepthwiseConv2DWithBiasAndRelu output min_output max_output
QuantizedDepthwiseConv2DWithBiasAndReluAndRequantize output min_output max_output
QuantizedInstanceNorm y y_min y_max
QuantizedMatMul out min_out max_out
QuantizedMatMulWithBias out min_out max_out
QuantizedMatMulWithBiasAndRelu out min_out max_out
QuantizedMatMulWithBiasAndReluAndRequantize out min_out max_out
QuantizedMaxPool output min_output max_output
QuantizedMul z min_z max_z
QuantizedRelu activations min_activations max_activations
QuantizedRelu6 activations min_activations max_activations
QuantizedReluX activations min_activations max_activations
QuantizedReshape output output_min output_max
QuantizedResizeBilinear resized_images out_min out_max
RaggedGather output_nested_splits*OUTPUT_RAGGED_RANK output_dense_values
RaggedRange rt_nested_splits rt_dense_values
RaggedTensorFromVariant output_nested_splits*output_ragged_rank output_dense_values
RaggedTensorToSparse sparse_indices sparse_values sparse_dense_shape
ReaderRead key value
ReaderReadUpTo keys values
ReaderReadUpToV2 keys values
ReaderReadV2 key value
RefMerge output value_index
RefSwitch output_false output_true
RequantizationRange output_min output_max
RequantizationRangePerChannel output_min output_max
Requantize output output_min output_max
RequantizePerChannel output output_min output_max
ResamplerGrad grad_data grad_warp
SampleDistortedBoundingBox begin size bboxes
SampleDistortedBoundingBoxV2 begin size bboxes
SelfAdjointEigV2 e v
SoftmaxCrossEntropyWithLogits loss backprop
SparseAccumulatorTakeGradient indices values shape
SparseAdd sum_indices sum_values sum_shape
SparseAddGrad a_val_grad b_val_grad
SparseConcat output_indices output_values output_shape
SparseCross output_indices output_values output_shape
SparseFeatureCross output_indices output_values output_shape
SparseFeatureCrossV2 output_indices output_values output_shape
SparseFillEmptyRows output_indices output_values empty_row_indicator reverse_index_map
SparseFillEmptyRowsGrad d_values d_default_value
SparseReduceMaxSparse output_indices output_values output_shape
SparseReduceSumSparse output_indices output_values output_shape
SparseReorder output_indices output_values
SparseReshape output_indices output_shape
SparseSlice output_indices output_values output_shape
SparseSoftmaxCrossEntropyWithLogits loss backprop
SparseSparseMaximum output_indices output_values
SparseSparseMinimum output_indices output_values
SparseSplit output_indices*num_split output_values*num_split output_shape*num_split
SparseToSparseSetOperation result_indices result_values result_shape
StringNGrams ngrams ngrams_splits
StringSplit indices values shape
StringSplitV2 indices values shape
Svd s u v
Switch output_false output_true
TakeManySparseFromTensorsMap sparse_indices sparse_values sparse_shape
TensorArrayConcat value lengths
TensorArrayConcatV2 value lengths
TensorArrayConcatV3 value lengths
TensorArrayGradV3 grad_handle flow_out
TensorArrayGradWithShape grad_handle flow_out
TensorArrayV3 handle flow
TensorListConcat tensor lengths
TensorListConcatV2 tensor lengths
TensorListPopBack output_handle tensor
ThreadUnsafeUnigramCandidateSampler sampled_candidates true_expected_count \
  sampled_expected_count
TopK values indices
TopKV2 values indices
TreePredictionsV4 predictions tree_paths
TryRpc response status_code status_message
UnicodeDecode row_splits char_values
UnicodeDecodeWithOffsets row_splits char_values char_to_byte_starts
UniformCandidateSampler sampled_candidates true_expected_count sampled_expected_count
Unique y idx
UniqueV2 y idx
UniqueWithCounts y idx count
UniqueWithCountsV2 y idx count
WALSComputePartialLhsAndRhs partial_lhs partial_rhs
"""


def _read(rows: str) -> Dict[str, Tuple[Output, ...]]:
    table = {}
    for row in filter(None, rows.split("\n")):
        op, *outputs = row.split()
        halves = (output.partition("*") for output in outputs)
        table[op] = tuple(Output(name, length) for name, _, length in halves)
    return table


SEVERAL_OUTPUTS = _read(_ROWS)
