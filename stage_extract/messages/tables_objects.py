"""The fields of the messages of object-based checkpoints and of tf.function's signatures, as data.

One line a field, as in the .proto files of TensorFlow 1.15, whose package "tensorflow" is left out
of the names. A test compares them with the descriptors of TensorFlow.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Mapping

MESSAGES: Mapping[str, str] = MappingProxyType(
    {
        "TypeSpecProto": """
            TypeSpecProto.TypeSpecClass type_spec_class = 1
            StructuredValue type_state = 2
            string type_spec_class_name = 3
        """,
        "StructuredValue": """
            oneof kind NoneValue none_value = 1
            oneof kind double float64_value = 11
            oneof kind sint64 int64_value = 12
            oneof kind string string_value = 13
            oneof kind bool bool_value = 14
            oneof kind TensorShapeProto tensor_shape_value = 31
            oneof kind DataType tensor_dtype_value = 32
            oneof kind TensorSpecProto tensor_spec_value = 33
            oneof kind TypeSpecProto type_spec_value = 34
            oneof kind ListValue list_value = 51
            oneof kind TupleValue tuple_value = 52
            oneof kind DictValue dict_value = 53
            oneof kind NamedTupleValue named_tuple_value = 54
        """,
        "NoneValue": "",
        "TensorSpecProto": """
            string name = 1
            TensorShapeProto shape = 2
            DataType dtype = 3
        """,
        "ListValue": """
            repeated StructuredValue values = 1
        """,
        "TupleValue": """
            repeated StructuredValue values = 1
        """,
        "DictValue": """
            map<string,StructuredValue> fields = 1
        """,
        "NamedTupleValue": """
            string name = 1
            repeated PairValue values = 2
        """,
        "PairValue": """
            string key = 1
            StructuredValue value = 2
        """,
        "SavedObjectGraph": """
            repeated SavedObject nodes = 1
            map<string,SavedConcreteFunction> concrete_functions = 2
        """,
        "SavedObject": """
            repeated TrackableObjectGraph.TrackableObject.ObjectReference children = 1
            repeated TrackableObjectGraph.TrackableObject.SlotVariableReference slot_variables = 3
            oneof kind SavedUserObject user_object = 4
            oneof kind SavedAsset asset = 5
            oneof kind SavedFunction function = 6
            oneof kind SavedVariable variable = 7
            oneof kind SavedBareConcreteFunction bare_concrete_function = 8
            oneof kind SavedConstant constant = 9
            oneof kind SavedResource resource = 10
        """,
        "TrackableObjectGraph.TrackableObject.ObjectReference": """
            int32 node_id = 1
            string local_name = 2
        """,
        "TrackableObjectGraph.TrackableObject.SlotVariableReference": """
            int32 original_variable_node_id = 1
            string slot_name = 2
            int32 slot_variable_node_id = 3
        """,
        "SavedUserObject": """
            string identifier = 1
            VersionDef version = 2
            string metadata = 3
        """,
        "SavedAsset": """
            int32 asset_file_def_index = 1
        """,
        "SavedFunction": """
            repeated string concrete_functions = 1
            FunctionSpec function_spec = 2
        """,
        "FunctionSpec": """
            StructuredValue fullargspec = 1
            bool is_method = 2
            StructuredValue input_signature = 5
        """,
        "SavedVariable": """
            DataType dtype = 1
            TensorShapeProto shape = 2
            bool trainable = 3
            VariableSynchronization synchronization = 4
            VariableAggregation aggregation = 5
            string name = 6
        """,
        "SavedBareConcreteFunction": """
            string concrete_function_name = 1
            repeated string argument_keywords = 2
            int64 allowed_positional_arguments = 3
        """,
        "SavedConstant": """
            string operation = 1
        """,
        "SavedResource": """
            string device = 1
        """,
        "SavedConcreteFunction": """
            repeated int32 bound_inputs = 2
            StructuredValue canonicalized_input_signature = 3
            StructuredValue output_signature = 4
        """,
        "TrackableObjectGraph": """
            repeated TrackableObjectGraph.TrackableObject nodes = 1
        """,
        "TrackableObjectGraph.TrackableObject": """
            repeated TrackableObjectGraph.TrackableObject.ObjectReference children = 1
            repeated TrackableObjectGraph.TrackableObject.SerializedTensor attributes = 2
            repeated TrackableObjectGraph.TrackableObject.SlotVariableReference slot_variables = 3
        """,
        "TrackableObjectGraph.TrackableObject.SerializedTensor": """
            string name = 1
            string full_name = 2
            string checkpoint_key = 3
            bool optional_restore = 4
        """,
    }
)
