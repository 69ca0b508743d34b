"""The fields of the messages of graphs and tensors, and all enums, as data.

One line a field, as in the .proto files of TensorFlow 1.15, whose package "tensorflow" is left out
of the names. A test compares them with the descriptors of TensorFlow.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Mapping

MESSAGES: Mapping[str, str] = MappingProxyType(
    {
        "GraphDef": """
            repeated NodeDef node = 1
            FunctionDefLibrary library = 2
            int32 version = 3
            VersionDef versions = 4
        """,
        "NodeDef": """
            string name = 1
            string op = 2
            repeated string input = 3
            string device = 4
            map<string,AttrValue> attr = 5
            NodeDef.ExperimentalDebugInfo experimental_debug_info = 6
        """,
        "AttrValue": """
            oneof value AttrValue.ListValue list = 1
            oneof value bytes s = 2
            oneof value int64 i = 3
            oneof value float f = 4
            oneof value bool b = 5
            oneof value DataType type = 6
            oneof value TensorShapeProto shape = 7
            oneof value TensorProto tensor = 8
            oneof value string placeholder = 9
            oneof value NameAttrList func = 10
        """,
        "AttrValue.ListValue": """
            repeated bytes s = 2
            repeated int64 i = 3
            repeated float f = 4
            repeated bool b = 5
            repeated DataType type = 6
            repeated TensorShapeProto shape = 7
            repeated TensorProto tensor = 8
            repeated NameAttrList func = 9
        """,
        "TensorShapeProto": """
            repeated TensorShapeProto.Dim dim = 2
            bool unknown_rank = 3
        """,
        "TensorShapeProto.Dim": """
            int64 size = 1
            string name = 2
        """,
        "TensorProto": """
            DataType dtype = 1
            TensorShapeProto tensor_shape = 2
            int32 version_number = 3
            bytes tensor_content = 4
            repeated float float_val = 5
            repeated double double_val = 6
            repeated int32 int_val = 7
            repeated bytes string_val = 8
            repeated float scomplex_val = 9
            repeated int64 int64_val = 10
            repeated bool bool_val = 11
            repeated double dcomplex_val = 12
            repeated int32 half_val = 13
            repeated ResourceHandleProto resource_handle_val = 14
            repeated VariantTensorDataProto variant_val = 15
            repeated uint32 uint32_val = 16
            repeated uint64 uint64_val = 17
        """,
        "ResourceHandleProto": """
            string device = 1
            string container = 2
            string name = 3
            uint64 hash_code = 4
            string maybe_type_name = 5
            repeated ResourceHandleProto.DtypeAndShape dtypes_and_shapes = 6
        """,
        "ResourceHandleProto.DtypeAndShape": """
            DataType dtype = 1
            TensorShapeProto shape = 2
        """,
        "VariantTensorDataProto": """
            string type_name = 1
            bytes metadata = 2
            repeated TensorProto tensors = 3
        """,
        "NameAttrList": """
            string name = 1
            map<string,AttrValue> attr = 2
        """,
        "NodeDef.ExperimentalDebugInfo": """
            repeated string original_node_names = 1
            repeated string original_func_names = 2
        """,
        "FunctionDefLibrary": """
            repeated FunctionDef function = 1
            repeated GradientDef gradient = 2
        """,
        "FunctionDef": """
            OpDef signature = 1
            repeated NodeDef node_def = 3
            map<string,string> ret = 4
            map<string,AttrValue> attr = 5
            map<string,string> control_ret = 6
            map<uint32,FunctionDef.ArgAttrs> arg_attr = 7
        """,
        "OpDef": """
            string name = 1
            repeated OpDef.ArgDef input_arg = 2
            repeated OpDef.ArgDef output_arg = 3
            repeated OpDef.AttrDef attr = 4
            string summary = 5
            string description = 6
            OpDeprecation deprecation = 8
            bool is_aggregate = 16
            bool is_stateful = 17
            bool is_commutative = 18
            bool allows_uninitialized_input = 19
            repeated string control_output = 20
        """,
        "OpDef.ArgDef": """
            string name = 1
            string description = 2
            DataType type = 3
            string type_attr = 4
            string number_attr = 5
            string type_list_attr = 6
            bool is_ref = 16
        """,
        "OpDef.AttrDef": """
            string name = 1
            string type = 2
            AttrValue default_value = 3
            string description = 4
            bool has_minimum = 5
            int64 minimum = 6
            AttrValue allowed_values = 7
        """,
        "OpDeprecation": """
            int32 version = 1
            string explanation = 2
        """,
        "FunctionDef.ArgAttrs": """
            map<string,AttrValue> attr = 1
        """,
        "GradientDef": """
            string function_name = 1
            string gradient_func = 2
        """,
        "VersionDef": """
            int32 producer = 1
            int32 min_consumer = 2
            repeated int32 bad_consumers = 3
        """,
    }
)

# The type of a reference to a variable: its name has this end, its number is larger by this.
REFERENCE_SUFFIX = "_REF"
REFERENCE_OFFSET = 100

_PLAIN_ENUMS: Mapping[str, Mapping[str, int]] = MappingProxyType(
    {
        "DataType": {
            "DT_INVALID": 0,
            "DT_FLOAT": 1,
            "DT_DOUBLE": 2,
            "DT_INT32": 3,
            "DT_UINT8": 4,
            "DT_INT16": 5,
            "DT_INT8": 6,
            "DT_STRING": 7,
            "DT_COMPLEX64": 8,
            "DT_INT64": 9,
            "DT_BOOL": 10,
            "DT_QINT8": 11,
            "DT_QUINT8": 12,
            "DT_QINT32": 13,
            "DT_BFLOAT16": 14,
            "DT_QINT16": 15,
            "DT_QUINT16": 16,
            "DT_UINT16": 17,
            "DT_COMPLEX128": 18,
            "DT_HALF": 19,
            "DT_RESOURCE": 20,
            "DT_VARIANT": 21,
            "DT_UINT32": 22,
            "DT_UINT64": 23,
        },
        "SaverDef.CheckpointFormatVersion": {
            "LEGACY": 0,
            "V1": 1,
            "V2": 2,
        },
        "TypeSpecProto.TypeSpecClass": {
            "UNKNOWN": 0,
            "SPARSE_TENSOR_SPEC": 1,
            "INDEXED_SLICES_SPEC": 2,
            "RAGGED_TENSOR_SPEC": 3,
            "TENSOR_ARRAY_SPEC": 4,
            "DATA_DATASET_SPEC": 5,
            "DATA_ITERATOR_SPEC": 6,
            "OPTIONAL_SPEC": 7,
            "PER_REPLICA_SPEC": 8,
        },
        "VariableSynchronization": {
            "VARIABLE_SYNCHRONIZATION_AUTO": 0,
            "VARIABLE_SYNCHRONIZATION_NONE": 1,
            "VARIABLE_SYNCHRONIZATION_ON_WRITE": 2,
            "VARIABLE_SYNCHRONIZATION_ON_READ": 3,
        },
        "VariableAggregation": {
            "VARIABLE_AGGREGATION_NONE": 0,
            "VARIABLE_AGGREGATION_SUM": 1,
            "VARIABLE_AGGREGATION_MEAN": 2,
            "VARIABLE_AGGREGATION_ONLY_FIRST_REPLICA": 3,
        },
        "BundleHeaderProto.Endianness": {
            "LITTLE": 0,
            "BIG": 1,
        },
    }
)

ENUMS: Mapping[str, Mapping[str, int]] = MappingProxyType(
    {
        **_PLAIN_ENUMS,
        "DataType": {
            **_PLAIN_ENUMS["DataType"],
            **{
                name + REFERENCE_SUFFIX: number + REFERENCE_OFFSET
                for name, number in _PLAIN_ENUMS["DataType"].items()
                if number
            },
        },
    }
)
