package io.github.dl4jlora.onnx;

import org.deeplearning4j.nn.conf.CNN2DFormat;
import org.deeplearning4j.nn.conf.ComputationGraphConfiguration.GraphBuilder;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.RNNFormat;
import org.deeplearning4j.nn.conf.graph.ElementWiseVertex;
import org.deeplearning4j.nn.conf.graph.FrozenVertex;
import org.deeplearning4j.nn.conf.graph.GraphVertex;
import org.deeplearning4j.nn.conf.graph.L2NormalizeVertex;
import org.deeplearning4j.nn.conf.graph.L2Vertex;
import org.deeplearning4j.nn.conf.graph.MergeVertex;
import org.deeplearning4j.nn.conf.graph.PoolHelperVertex;
import org.deeplearning4j.nn.conf.graph.ReshapeVertex;
import org.deeplearning4j.nn.conf.graph.ScaleVertex;
import org.deeplearning4j.nn.conf.graph.ShiftVertex;
import org.deeplearning4j.nn.conf.graph.StackVertex;
import org.deeplearning4j.nn.conf.graph.SubsetVertex;
import org.deeplearning4j.nn.conf.graph.UnstackVertex;
import org.deeplearning4j.nn.conf.inputs.InputType;
import org.deeplearning4j.nn.conf.layers.Convolution3D;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.nd4j.linalg.api.ndarray.INDArray;

import java.io.IOException;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.params.provider.Arguments.arguments;

class VerticesTest {

    private static final InputType ROW = InputType.feedForward(4);
    private static final InputType NCW = InputType.recurrent(4, 6, RNNFormat.NCW);
    private static final InputType NWC = InputType.recurrent(4, 6, RNNFormat.NWC);
    private static final InputType NCHW = InputType.convolutional(5, 6, 4, CNN2DFormat.NCHW);
    private static final InputType NHWC = InputType.convolutional(5, 6, 4, CNN2DFormat.NHWC);
    private static final InputType NCDHW = InputType.convolutional3D(Convolution3D.DataFormat.NCDHW, 3, 5, 6, 4);
    private static final InputType NDHWC = InputType.convolutional3D(Convolution3D.DataFormat.NDHWC, 3, 5, 6, 4);
    private static final List<InputType> ALL = List.of(ROW, NCW, NWC, NCHW, NHWC, NCDHW, NDHWC);

    static Stream<Arguments> verticesOfOneInput() {
        Stream<Arguments> inEachShape = ALL.stream().flatMap(type -> Stream.of(new ScaleVertex(0.3), new ShiftVertex(-0.7),
                new FrozenVertex(new ScaleVertex(2))).map(vertex -> arguments(vertex, type)));
        Stream<Arguments> upToImages = ALL.subList(0, 5).stream().flatMap(type -> Stream.of(new L2NormalizeVertex(),
                new SubsetVertex(1, 2), new SubsetVertex(0, 3), new SubsetVertex(2, 2)).map(vertex -> arguments(vertex, type)));
        Stream<Arguments> others = Stream.of(arguments(new PoolHelperVertex(), NCHW), arguments(new PoolHelperVertex(), NHWC),
                arguments(norm(1), NCW), arguments(norm(2), NCW), arguments(norm(2, 1), NWC), arguments(norm(1), ROW),
                arguments(norm(0, 1), ROW), arguments(norm(1), NCHW), arguments(norm(3), NHWC), arguments(norm(2, 3), NCHW),
                arguments(new ReshapeVertex(-1, 2, 2), ROW), arguments(new ReshapeVertex(-1, 24), NCW),
                arguments(new ReshapeVertex(3, 4, 6), NWC), arguments(new ReshapeVertex(-1, 2, 10, 6), NCHW),
                arguments(new ReshapeVertex('f', new int[]{-1, 6, 4}, null), NCW),
                arguments(new ReshapeVertex('f', new int[]{3, 120}, null), NHWC),
                arguments(new ReshapeVertex(-1, 6, 10, 2), NHWC));
        return Stream.of(inEachShape, upToImages, others).flatMap(stream -> stream);
    }

    private static GraphVertex norm(int... dimensions) {
        return new L2NormalizeVertex(dimensions, 1e-8);
    }

    @ParameterizedTest
    @MethodSource("verticesOfOneInput")
    void aVertexOfOneInputComputesTheSame(GraphVertex vertex, InputType type) throws IOException {
        agrees(vertex, Samples.input(type, 3), type);
    }

    static Stream<Arguments> verticesOfSeveralInputs() {
        return Stream.concat(ALL.stream().flatMap(type -> {
            Stream<GraphVertex> vertices = Stream.of(new MergeVertex(), new StackVertex(), new L2Vertex(),
                    new ElementWiseVertex(ElementWiseVertex.Op.Add), new ElementWiseVertex(ElementWiseVertex.Op.Max),
                    new ElementWiseVertex(ElementWiseVertex.Op.Average), new ElementWiseVertex(ElementWiseVertex.Op.Product),
                    new ElementWiseVertex(ElementWiseVertex.Op.Subtract));
            return vertices.flatMap(vertex -> vertex.maxVertexInputs() == 2 ? Stream.of(arguments(vertex, List.of(type, type)))
                    : Stream.of(arguments(vertex, List.of(type, type)), arguments(vertex, List.of(type, type, type))));
        }), Stream.of(
                arguments(new MergeVertex(), List.of(ROW, InputType.feedForward(3))),
                arguments(new MergeVertex(), List.of(NCW, InputType.recurrent(3, 6, RNNFormat.NCW))),
                arguments(along(2), List.of(NCW, InputType.recurrent(4, 2, RNNFormat.NCW))),
                arguments(along(1), List.of(NWC, InputType.recurrent(4, 2, RNNFormat.NWC))),
                arguments(along(2), List.of(NCHW, NCHW)), arguments(along(3), List.of(NCHW, NCHW)),
                arguments(along(4), List.of(NDHWC, NDHWC))));
    }

    private static MergeVertex along(int axis) {
        MergeVertex vertex = new MergeVertex();
        vertex.setMergeAxis(axis);
        return vertex;
    }

    @ParameterizedTest
    @MethodSource("verticesOfSeveralInputs")
    void aVertexOfSeveralInputsComputesTheSame(GraphVertex vertex, List<InputType> types) throws IOException {
        agrees(vertex, types.toArray(InputType[]::new));
    }

    static Stream<List<InputType>> channels() {
        return Stream.of(List.of(ROW, InputType.feedForward(3)), List.of(NCW, InputType.recurrent(3, 6, RNNFormat.NCW)),
                List.of(NWC, InputType.recurrent(3, 6, RNNFormat.NWC)),
                List.of(NCHW, InputType.convolutional(5, 6, 1, CNN2DFormat.NCHW)),
                List.of(NHWC, InputType.convolutional(5, 6, 1, CNN2DFormat.NHWC)), List.of(NDHWC, NDHWC));
    }

    @ParameterizedTest
    @MethodSource("channels")
    void aMergeVertexOfKnownTypesComputesTheSame(List<InputType> types) throws IOException {
        InputType[] known = types.toArray(InputType[]::new);
        agrees(Initialised.of(builder(known).addVertex("merged", new MergeVertex(), "in0", "in1").setOutputs("merged")
                .setInputTypes(known).build()), known, Samples.input(types.get(0), 3), Samples.input(types.get(1), 3));
    }

    @Test
    void anExportLeavesAMergeVertexAsItIs() throws IOException {
        ComputationGraph graph = Initialised.of(builder(NWC, NWC).addVertex("merged", new MergeVertex(), "in0", "in1")
                .setOutputs("merged").build());
        String before = graph.getConfiguration().toJson();

        agrees(graph, new InputType[]{NWC, NWC}, Samples.input(NWC, 3), Samples.input(NWC, 3));

        assertThat(graph.getConfiguration().toJson()).isEqualTo(before);
    }

    static Stream<Arguments> broadcasts() {
        return Stream.of(ElementWiseVertex.Op.values()).flatMap(op -> Stream.of(
                arguments(op, List.of(ROW, InputType.feedForward(1))), arguments(op, List.of(InputType.feedForward(1), ROW)),
                arguments(op, List.of(NCW, InputType.recurrent(1, 6))), arguments(op, List.of(InputType.recurrent(4, 1), NCW)),
                arguments(op, List.of(InputType.recurrent(4, 1), InputType.recurrent(1, 6)))));
    }

    @ParameterizedTest
    @MethodSource("broadcasts")
    void elementWiseVerticesBroadcast(ElementWiseVertex.Op op, List<InputType> types) throws IOException {
        agrees(new ElementWiseVertex(op), types.toArray(InputType[]::new));
    }

    @ParameterizedTest
    @EnumSource(ElementWiseVertex.Op.class)
    void anElementWiseVertexOfOneInputGivesThatInput(ElementWiseVertex.Op op) throws IOException {
        for (InputType type : ALL) {
            agrees(new ElementWiseVertex(op), type);
        }
    }

    static Stream<Arguments> parts() {
        return ALL.subList(0, 5).stream().flatMap(type -> Stream.of(0, 1, 2).map(part -> arguments(type, part)));
    }

    @ParameterizedTest
    @MethodSource("parts")
    void whatIsStackedIsUnstacked(InputType type, int part) throws IOException {
        ComputationGraph graph = Initialised.of(builder(type, type, type)
                .addVertex("stacked", new StackVertex(), "in0", "in1", "in2").addVertex("twice", new ScaleVertex(2), "stacked")
                .addVertex("part", new UnstackVertex(part, 3), "twice").setOutputs("part", "twice").build());
        for (int batch : new int[]{2, 5}) {
            agrees(graph, new InputType[]{type, type, type}, Samples.input(type, batch), Samples.input(type, batch).mul(3),
                    Samples.input(type, batch).add(1));
        }
    }

    @Test
    void sequencesOfSeveralLengthsAreStacked() throws IOException {
        InputType[] types = {InputType.recurrent(4), InputType.recurrent(4), InputType.recurrent(4)};
        ComputationGraph graph = Initialised.of(builder(types).addVertex("stacked", new StackVertex(), "in0", "in1", "in2")
                .setOutputs("stacked").build());
        for (int[] lengths : new int[][]{{3, 5, 2}, {4, 4, 4}, {1, 1, 7}}) {
            agrees(graph, types, Samples.normal(2, 4, lengths[0]), Samples.normal(2, 4, lengths[1]),
                    Samples.normal(2, 4, lengths[2]));
        }
    }

    static Stream<Arguments> acrossExamples() {
        return Stream.of(arguments(norm(0), ROW), arguments(norm(0), NCW), arguments(norm(0, 2), NCW),
                arguments(norm(0, 3), NCHW));
    }

    @ParameterizedTest
    @MethodSource("acrossExamples")
    void aNormAcrossExamplesIsRefused(GraphVertex vertex, InputType type) {
        ComputationGraph graph = Initialised.of(builder(type).addVertex("norm", vertex, "in0").setOutputs("norm").build());

        assertThatThrownBy(() -> OnnxExport.of(graph).inputTypes(type).write(Path.of("never.onnx")))
                .isInstanceOf(OnnxExportException.class).hasMessageContaining("\"norm\"").hasMessageContaining("across examples");
    }

    private static void agrees(GraphVertex vertex, INDArray input, InputType type) throws IOException {
        agrees(Initialised.of(builder(type).addVertex("vertex", vertex, "in0").setOutputs("vertex").build()),
                new InputType[]{type}, input);
    }

    private static void agrees(GraphVertex vertex, InputType... types) throws IOException {
        String[] names = Stream.iterate(0, i -> i + 1).limit(types.length).map(i -> "in" + i).toArray(String[]::new);
        INDArray[] inputs = Arrays.stream(types).map(type -> Samples.input(type, 3)).toArray(INDArray[]::new);
        for (int i = 1; i < inputs.length; i++) {
            inputs[i].muli(0.5).addi(0.1 * i);
        }
        agrees(Initialised.of(builder(types).addVertex("vertex", vertex, names).setOutputs("vertex").build()), types, inputs);
    }

    private static GraphBuilder builder(InputType... types) {
        GraphBuilder builder = new NeuralNetConfiguration.Builder().seed(1).graphBuilder();
        for (int i = 0; i < types.length; i++) {
            builder.addInputs("in" + i);
        }
        return builder;
    }

    private static void agrees(ComputationGraph graph, InputType[] types, INDArray... inputs) throws IOException {
        InRuntime.agrees(graph, OnnxExport.of(graph).inputTypes(types), inputs);
    }
}
