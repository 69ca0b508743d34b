"""The fields of the messages of checkpoints, .meta files and SavedModels, as data.

One line a field, as in the .proto files of TensorFlow 1.15, whose package "tensorflow" is left out
of the names. A test compares them with the descriptors of TensorFlow.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Mapping

MESSAGES: Mapping[str, str] = MappingProxyType(
    {
        "MetaGraphDef": """
            MetaGraphDef.MetaInfoDef meta_info_def = 1
            GraphDef graph_def = 2
            SaverDef saver_def = 3
            map<string,CollectionDef> collection_def = 4
            map<string,SignatureDef> signature_def = 5
            repeated AssetFileDef asset_file_def = 6
            SavedObjectGraph object_graph_def = 7
        """,
        "MetaGraphDef.MetaInfoDef": """
            string meta_graph_version = 1
            OpList stripped_op_list = 2
            google.protobuf.Any any_info = 3
            repeated string tags = 4
            string tensorflow_version = 5
            string tensorflow_git_version = 6
            bool stripped_default_attrs = 7
        """,
        "OpList": """
            repeated OpDef op = 1
        """,
        "google.protobuf.Any": """
            string type_url = 1
            bytes value = 2
        """,
        "SaverDef": """
            string filename_tensor_name = 1
            string save_tensor_name = 2
            string restore_op_name = 3
            int32 max_to_keep = 4
            bool sharded = 5
            float keep_checkpoint_every_n_hours = 6
            SaverDef.CheckpointFormatVersion version = 7
        """,
        "CollectionDef": """
            oneof kind CollectionDef.NodeList node_list = 1
            oneof kind CollectionDef.BytesList bytes_list = 2
            oneof kind CollectionDef.Int64List int64_list = 3
            oneof kind CollectionDef.FloatList float_list = 4
            oneof kind CollectionDef.AnyList any_list = 5
        """,
        "CollectionDef.NodeList": """
            repeated string value = 1
        """,
        "CollectionDef.BytesList": """
            repeated bytes value = 1
        """,
        "CollectionDef.Int64List": """
            repeated int64 value = 1
        """,
        "CollectionDef.FloatList": """
            repeated float value = 1
        """,
        "CollectionDef.AnyList": """
            repeated google.protobuf.Any value = 1
        """,
        "SignatureDef": """
            map<string,TensorInfo> inputs = 1
            map<string,TensorInfo> outputs = 2
            string method_name = 3
        """,
        "TensorInfo": """
            oneof encoding string name = 1
            DataType dtype = 2
            TensorShapeProto tensor_shape = 3
            oneof encoding TensorInfo.CooSparse coo_sparse = 4
            oneof encoding TensorInfo.CompositeTensor composite_tensor = 5
        """,
        "TensorInfo.CooSparse": """
            string values_tensor_name = 1
            string indices_tensor_name = 2
            string dense_shape_tensor_name = 3
        """,
        "TensorInfo.CompositeTensor": """
            TypeSpecProto type_spec = 1
            repeated TensorInfo components = 2
        """,
        "AssetFileDef": """
            TensorInfo tensor_info = 1
            string filename = 2
        """,
        "VariableDef": """
            string variable_name = 1
            string initializer_name = 2
            string snapshot_name = 3
            SaveSliceInfoDef save_slice_info_def = 4
            bool is_resource = 5
            string initial_value_name = 6
            bool trainable = 7
            VariableSynchronization synchronization = 8
            VariableAggregation aggregation = 9
        """,
        "SaveSliceInfoDef": """
            string full_name = 1
            repeated int64 full_shape = 2
            repeated int64 var_offset = 3
            repeated int64 var_shape = 4
        """,
        "WhileContextDef": """
            string context_name = 1
            int32 parallel_iterations = 2
            bool back_prop = 3
            bool swap_memory = 4
            string pivot_name = 5
            string pivot_for_pred_name = 6
            string pivot_for_body_name = 7
            repeated string loop_exit_names = 8
            ValuesDef values_def = 9
            repeated string loop_enter_names = 10
            string maximum_iterations_name = 11
            repeated ControlFlowContextDef nested_contexts = 12
        """,
        "ValuesDef": """
            repeated string values = 1
            map<string,string> external_values = 2
        """,
        "ControlFlowContextDef": """
            oneof ctxt CondContextDef cond_ctxt = 1
            oneof ctxt WhileContextDef while_ctxt = 2
        """,
        "CondContextDef": """
            string context_name = 1
            string pred_name = 2
            string pivot_name = 3
            int32 branch = 4
            ValuesDef values_def = 5
            repeated ControlFlowContextDef nested_contexts = 6
        """,
        "BundleHeaderProto": """
            int32 num_shards = 1
            BundleHeaderProto.Endianness endianness = 2
            VersionDef version = 3
        """,
        "BundleEntryProto": """
            DataType dtype = 1
            TensorShapeProto shape = 2
            int32 shard_id = 3
            int64 offset = 4
            int64 size = 5
            fixed32 crc32c = 6
            repeated TensorSliceProto slices = 7
        """,
        "TensorSliceProto": """
            repeated TensorSliceProto.Extent extent = 1
        """,
        "TensorSliceProto.Extent": """
            int64 start = 1
            oneof has_length int64 length = 2
        """,
        "SavedTensorSlices": """
            SavedTensorSliceMeta meta = 1
            SavedSlice data = 2
        """,
        "SavedTensorSliceMeta": """
            repeated SavedSliceMeta tensor = 1
            VersionDef versions = 2
        """,
        "SavedSliceMeta": """
            string name = 1
            TensorShapeProto shape = 2
            DataType type = 3
            repeated TensorSliceProto slice = 4
        """,
        "SavedSlice": """
            string name = 1
            TensorSliceProto slice = 2
            TensorProto data = 3
        """,
        "SavedModel": """
            int64 saved_model_schema_version = 1
            repeated MetaGraphDef meta_graphs = 2
        """,
        "CheckpointState": """
            string model_checkpoint_path = 1
            repeated string all_model_checkpoint_paths = 2
            repeated double all_model_checkpoint_timestamps = 3
            double last_preserved_timestamp = 4
        """,
    }
)
