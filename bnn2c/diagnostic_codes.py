"""The catalogue of diagnostic codes: what `bnn2c explain CODE` prints.

A code keeps its meaning for ever; a code that is no longer used stays listed. Adding one is adding one entry here.
"""

from __future__ import annotations

from typing import NamedTuple


class CodeInfo(NamedTuple):
    """What a diagnostic code means.

    Attributes:
        title: the kind of problem in a few words.
        explain: one paragraph: what happened and why the compiler cares.
        action: what a user can do about it.
    """

    title: str
    explain: str
    action: str


CATALOGUE: dict[str, CodeInfo] = {
    "BNN001": CodeInfo(
        "cannot read the file",
        "The file given on the command line does not exist, is a folder, or may not be read by this user.",
        "Check the path and the permissions. The model is the .onnx file itself, not its folder.",
    ),
    "BNN002": CodeInfo(
        "not an ONNX model",
        "The file could be read but its bytes are not an ONNX ModelProto: it is empty, truncated (an interrupted "
        "download, a Git LFS pointer), compressed other than by gzip, or in another format.",
        "Compare its size with the original, fetch it again, or export again with torch.onnx.export, tf2onnx or "
        "qonnx. Weights and checkpoints (.pt, .h5, .tflite) have to be exported to ONNX first.",
    ),
    "BNN003": CodeInfo(
        "invalid ONNX graph",
        "The file is an ONNX model but breaks the rules of the standard: a missing or cyclic edge, a wrong type, an "
        "attribute that an operator does not have, or shapes that cannot be combined. Compiling it would mean to "
        "guess what was intended.",
        "Run onnx.checker.check_model(path, full_check=True) to see the checker's words, and correct the export; the "
        "named node is where the rule is broken.",
    ),
    "BNN004": CodeInfo(
        "unsupported opset or domain",
        "The model needs an operator set that this version does not know: an opset older than 7 or newer than the "
        "installed onnx package, or an operator domain that is not ai.onnx, qonnx.custom_op.general, onnx.brevitas or"
        " finn.custom_op.general and comes without a function body.",
        "Export with opset_version=17, convert with onnx.version_converter, or install a newer onnx package. For a "
        "custom domain, export the operator as an ONNX function so that its body is in the file.",
    ),
    "BNN005": CodeInfo(
        "operator not supported",
        "The graph contains an operator that the compiler has no implementation of. Everything that does not depend "
        "on the data is folded away before this check, so the operator really would have to run on the device.",
        "`bnn2c ops` lists what is supported. Replace the operator in the model, or cut the graph before it (for "
        "example with onnx.utils.extract_model) and do that step in the firmware.",
    ),
    "BNN006": CodeInfo(
        "form of a supported operator not supported",
        "The operator is supported, but not with these attributes, element types or ranks: for instance MaxPool with "
        "indices, a three-dimensional convolution, or an operand that has to be a constant and is not.",
        "The message names what it is; `bnn2c ops` lists the operators, docs/onnx-operators.md the forms that are "
        "refused. Most exporters can be told to write another one.",
    ),
    "BNN007": CodeInfo(
        "dynamic or unknown shape",
        "Generated C has no heap: every buffer's size is known at compile time. A leading batch dimension is set to "
        "1; any other dimension that the model leaves open cannot be guessed.",
        "Export with fixed shapes (no dynamic_axes besides the batch), or set them with "
        "onnx.tools.update_model_dims.update_inputs_outputs_dims.",
    ),
    "BNN008": CodeInfo(
        "shape depends on the data",
        "The size of a tensor depends on the values that flow through the network (NonZero, Unique, "
        "NonMaxSuppression, a Loop without a constant trip count). Its memory cannot be planned, and the time it "
        "takes would depend on the input.",
        "Cut the graph before that operator and do the step in the firmware. For the boxes of a detector there is a "
        "function in C for that: `bnn2c compile --nms` (docs/detection.md).",
    ),
    "BNN009": CodeInfo(
        "size limit exceeded",
        "A tensor, or the number of nodes, is larger than anything that a microcontroller could hold. The limits keep"
        " a damaged or hostile file from using all memory of the machine that compiles.",
        "Check the named shape: it is usually a mistake of the export, and no target of this compiler could hold such"
        " a tensor. If it is meant to be so, raise --max-tensor-bytes or --max-nodes.",
    ),
    "BNN010": CodeInfo(
        "external data missing or outside the model's folder",
        "The model keeps its weights in a second file. That file does not exist, is too short, or its path leaves the"
        " model's folder, which is refused because the model could otherwise read any file of this machine.",
        "Put the data file where it was written beside the .onnx file, or make one file of both: "
        "onnx.save(onnx.load(path), 'one_file.onnx').",
    ),
    "BNN011": CodeInfo(
        "NaN or infinite weights",
        "A weight, scale, threshold or statistic is NaN or infinite. The training diverged or a division by zero was "
        "stored. The sign of NaN is not defined, so no exact C can be made of it.",
        "Look at the named tensor in the training run; a BatchNormalization variance below zero and an empty batch "
        "are the usual causes.",
    ),
    "BNN012": CodeInfo(
        "layer stays real: values not limited to two",
        "A dense or convolutional layer becomes XNOR and popcount only when both operands provably take at most two "
        "values (or small integers). The value analysis could not show it for one operand, so the layer is computed "
        "in float32. It is the same function, but larger and slower.",
        "`bnn2c inspect --why` prints the chain of facts. For first and last layers this is usually intended. "
        "Otherwise binarise the named operand in the model (Sign, Where(x>=0,1,-1), BipolarQuant), or check that the "
        "exporter did not drop the quantiser.",
    ),
    "BNN013": CodeInfo(
        "rounding-sensitive thresholds",
        "For some reachable sums of a layer, float32 and float64 arithmetic disagree about which side of the "
        "threshold they are on. The C follows float32 in the order that the ONNX operators define. Another runtime "
        "that reorders the arithmetic may decide these sums differently.",
        "Nothing has to be done. The report lists the (channel, sum) pairs; if an output has to be stable across "
        "runtimes, retrain or nudge the bias of those channels.",
    ),
    "BNN014": CodeInfo(
        "exact tie in a fused float form",
        "The exporter fused a scale or BatchNormalization into the weights. For some reachable sum the real value is "
        "exactly zero, and the order of the float summation decides the sign that a runtime sees. The compiler "
        "follows real arithmetic there, without a message.",
        "Export without fusing (do_constant_folding=False, or model.train(False) with BatchNormalization kept "
        "separate) if a particular runtime has to be matched at ties.",
    ),
    "BNN015": CodeInfo(
        "dead channel or constant tensor",
        "A channel has the same value for every input: its threshold lies outside of what the sum can reach. It costs"
        " flash and time and does nothing. A few are usual; many point to a wrong scale or a dropped quantiser.",
        "The report lists the channels. Check gamma and the running statistics of the BatchNormalization before it, "
        "or prune the channels and retrain.",
    ),
    "BNN016": CodeInfo(
        "output does not depend on the input",
        "An output of the graph has the same value for every input. The model is compiled as what it says, but a "
        "network that answers without looking was probably exported wrongly.",
        "Look for a Clip with undefined bounds, a Sign after Relu, or a quantiser that the exporter replaced by a "
        "constant.",
    ),
    "BNN017": CodeInfo(
        "sign(0) kept three-valued",
        "ONNX defines Sign(0) = 0, and here the argument can be 0. To stay exact the tensor keeps the three values "
        "-1, 0, +1 in two bit planes, which needs twice the memory and about twice the time of a binary tensor. Most "
        "training code maps 0 to +1 and means a binary tensor.",
        "Say what the training meant: --sign-zero=+1 or --sign-zero=-1. Or export Where(x >= 0, 1, -1).",
    ),
    "BNN018": CodeInfo(
        "input option does not fit the model",
        "--input-scale and --input-offset declare that the firmware feeds uint8 with real = scale * q + offset. That "
        "needs one float input; the scale must be finite and not zero.",
        "Give both as finite numbers, such as --input-scale 1/255, when the network has one float input. Leave them "
        "out for integer or several inputs: the generated function then takes what the graph takes.",
    ),
    "BNN019": CodeInfo(
        "bad option, name or target",
        "An option has a value that cannot be used: an unknown target, a --name that is not a C identifier, a size "
        "that is not a number, or two options that exclude each other.",
        "`bnn2c targets` lists the targets, `bnn2c COMMAND --help` the options and their values.",
    ),
    "BNN020": CodeInfo(
        "does not fit",
        "The network needs more flash or RAM than the target has, or than --max-flash and --max-ram allow.",
        "Look at the layer table of the report for what takes the room. --optimize size shares kernels; --input-scale"
        " removes float code; --real int16 or int8 makes real weights two or four times smaller, binarising a layer "
        "32 times.",
    ),
    "BNN021": CodeInfo(
        "toolchain missing",
        "The compiler or emulator that this target needs is not installed on this machine. Compiling to C needs none;"
        " building, measuring and verifying do.",
        "Install what the message names; `make test` and scripts/setup.sh do it through apt. `bnn2c targets` shows "
        "which tools are found.",
    ),
    "BNN022": CodeInfo(
        "vectors do not fit the model",
        "The .npz file with test vectors has a missing or additional array, or shapes and types that do not match the"
        " model's inputs and outputs.",
        "It holds `input` (and input1, ... for several inputs), one sample per row, and optionally `output`, output1,"
        " ..., or arrays with the names of the inputs and outputs; uint8 inputs with `input_scale` mean real = input "
        "* scale.",
    ),
    "BNN023": CodeInfo(
        "problem with the output folder",
        "The generated files cannot be written: the path is a file or a symbolic link, a folder is not writable, the "
        "disk is full, or a file that bnn2c did not write has the name of a generated one. Nothing was changed: files"
        " are written beside the folder and moved only when complete.",
        "Choose another folder with -o, or remove what is in the way.",
    ),
    "BNN024": CodeInfo(
        "float arithmetic on a target without FPU",
        "Some layers compute in float32 and the target has no floating-point unit, so every operation becomes a call "
        "of a software routine, which is 10 to 50 times slower and needs about 4 KB of flash. The message predicts "
        "the instructions of all of them, and names the layer that takes most.",
        "Use --input-scale when the first layer reads 8-bit pixels and has binary weights; or choose a target with an"
        " FPU; or compute in integers, --real int16 with --calibrate; or accept it when the real layers are small.",
    ),
    "BNN025": CodeInfo(
        "building or running the generated C failed",
        "The target's compiler refused the generated C, or the program that runs it ended with an error. The "
        "generated C is meant to build without a warning everywhere, so this is a bug of bnn2c or of the toolchain's "
        "setup.",
        "The 'why' line has the tool's own words. Try --on host; if that works, compare the toolchain's version with "
        "the one in docs/targets.md, and please report it.",
    ),
    "BNN026": CodeInfo(
        "operation stays in float32",
        "With --real int16 or int8 every real operation becomes integer arithmetic; this one has no fixed-point form,"
        " so it is computed in float32 between two conversions. On a target without FPU that links soft-float "
        "routines.",
        "Nothing, when the target has an FPU. Otherwise change the layer, or leave it out of the exported graph (a "
        "final LogSoftmax does not change the argmax).",
    ),
    "BNN027": CodeInfo(
        "fixed point without calibration vectors",
        "The scales of fixed-point tensors come from the values that the tensors take on calibration vectors. Without"
        " any, random inputs are used, and real inputs may saturate or use few of the bits.",
        "Give --calibrate with a few dozen inputs as the device will see them; `input` in an .npz file, one sample a "
        "row.",
    ),
    "BNN028": CodeInfo(
        "cannot be streamed",
        "--stream makes a network that takes one frame at a time. Frames have no position there, so a layer that "
        "treats frames differently by their position in the window (position embeddings, attention over time, a "
        "backward direction, a gate computed from the whole window) has no streaming form.",
        "Use convolutions, pools, forward recurrent layers, and means, maxima or dense layers over the whole window; "
        "the window network then gives the same numbers. Without --stream the network compiles as it is.",
    ),
    "BNN029": CodeInfo(
        "fixed point agrees too rarely with float32",
        "On the calibration vectors (check) or the test vectors (verify) the fixed-point network gives another answer"
        " than the float32 one more often than --min-agreement allows.",
        "Look for the first tensor with a low SNR in the report; try --real int16, --calibrate-method percentile or "
        "mse, and more calibration vectors.",
    ),
    "BNN030": CodeInfo(
        "internal error",
        "The compiler itself failed: this is a bug in bnn2c and not in your model. No output was written.",
        "Please report it with the model (or a small part of it) and the output of the same command with --debug.",
    ),
    "BNN031": CodeInfo(
        "integers too large for float32",
        "Integers inside of a network are computed in float32, which holds every whole number up to 2^24 = 16777216. "
        "Results of 8 and 16 bits wrap around as in ONNX; those of 32 and 64 bits do not. As a warning: the ranges of"
        " inputs and constants do not rule out larger numbers at the named node. As an error: a constant there is "
        "itself not a float32 number, or BitwiseAnd, BitwiseOr, BitwiseXor or BitwiseNot asks for the lowest bits of "
        "numbers that may be larger, so that results would differ.",
        "When the real inputs stay small, nothing has to be done for a warning; a Clip in front of the node, or an "
        "input of int8, uint8, int16 or bool, shows it to the compiler. Packed bits come as uint8 or uint16 inputs. "
        "Otherwise do the integer step in the firmware.",
    ),
    "BNN032": CodeInfo(
        "float16 computed in float32",
        "The model holds float16 (or bfloat16) tensors that are computed. The C computes them in float32: nothing is "
        "rounded to 11 significant bits, and nothing overflows at 65504. onnxruntime on a CPU mostly does the same; "
        "an executor that rounds every result gives slightly other numbers, and may decide a sign or a maximum that "
        "lies within that rounding in the other way.",
        "Nothing has to be done: the C is the more exact one. `bnn2c verify` allows for the rounding, and lists the "
        "samples whose decisions it changes.",
    ),
    "BNN033": CodeInfo(
        "cannot be a state",
        "--state INPUT=OUTPUT keeps a value in the caller's memory: what OUTPUT holds after a step is INPUT of the "
        "next one. Both need the same shape and element type, each may be part of one state only, and an input and an"
        " output have to be left beside the states.",
        "Look at the names and shapes of the inputs and outputs with `bnn2c inspect`. Outputs in fixed point are "
        "integers with a scale; --real float32 keeps them, and so the state, in float32.",
    ),
    "BNN034": CodeInfo(
        "constants that no training should give",
        "A scale, bias, slope or other constant is NaN, infinite or beyond 1e30, as training that diverged leaves it."
        " The C computes with it as the model does, so that its outputs are NaN, infinite or all the same. Infinite "
        "bounds of Clip, padding and comparisons, and masks of -inf, are meant so and not told. Weights that are NaN "
        "or infinite are an error (BNN011).",
        "Look at the named tensors in the training run; `bnn2c verify` shows what the outputs are. When the numbers "
        "are meant so, nothing has to be done.",
    ),
}
