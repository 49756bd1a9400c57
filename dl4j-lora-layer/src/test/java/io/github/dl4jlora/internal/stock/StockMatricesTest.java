package io.github.dl4jlora.internal.stock;

import io.github.dl4jlora.layer.DeltaLayersTest;
import org.deeplearning4j.nn.conf.graph.AttentionVertex;
import org.deeplearning4j.nn.conf.graph.GraphVertex;
import org.deeplearning4j.nn.conf.graph.MergeVertex;
import org.deeplearning4j.nn.conf.layers.ActivationLayer;
import org.deeplearning4j.nn.conf.layers.BatchNormalization;
import org.deeplearning4j.nn.conf.layers.CapsuleStrengthLayer;
import org.deeplearning4j.nn.conf.layers.Cnn3DLossLayer;
import org.deeplearning4j.nn.conf.layers.CnnLossLayer;
import org.deeplearning4j.nn.conf.layers.Convolution1D;
import org.deeplearning4j.nn.conf.layers.Convolution2D;
import org.deeplearning4j.nn.conf.layers.DenseLayer;
import org.deeplearning4j.nn.conf.layers.DropoutLayer;
import org.deeplearning4j.nn.conf.layers.GlobalPoolingLayer;
import org.deeplearning4j.nn.conf.layers.LSTM;
import org.deeplearning4j.nn.conf.layers.Layer;
import org.deeplearning4j.nn.conf.layers.LearnedSelfAttentionLayer;
import org.deeplearning4j.nn.conf.layers.LocalResponseNormalization;
import org.deeplearning4j.nn.conf.layers.LossLayer;
import org.deeplearning4j.nn.conf.layers.OutputLayer;
import org.deeplearning4j.nn.conf.layers.PReLULayer;
import org.deeplearning4j.nn.conf.layers.Pooling1D;
import org.deeplearning4j.nn.conf.layers.Pooling2D;
import org.deeplearning4j.nn.conf.layers.RnnLossLayer;
import org.deeplearning4j.nn.conf.layers.RnnOutputLayer;
import org.deeplearning4j.nn.conf.layers.SelfAttentionLayer;
import org.deeplearning4j.nn.conf.layers.SpaceToBatchLayer;
import org.deeplearning4j.nn.conf.layers.SpaceToDepthLayer;
import org.deeplearning4j.nn.conf.layers.Subsampling1DLayer;
import org.deeplearning4j.nn.conf.layers.Subsampling3DLayer;
import org.deeplearning4j.nn.conf.layers.SubsamplingLayer;
import org.deeplearning4j.nn.conf.layers.Upsampling1D;
import org.deeplearning4j.nn.conf.layers.Upsampling2D;
import org.deeplearning4j.nn.conf.layers.Upsampling3D;
import org.deeplearning4j.nn.conf.layers.ZeroPadding1DLayer;
import org.deeplearning4j.nn.conf.layers.ZeroPadding3DLayer;
import org.deeplearning4j.nn.conf.layers.ZeroPaddingLayer;
import org.deeplearning4j.nn.conf.layers.convolutional.Cropping1D;
import org.deeplearning4j.nn.conf.layers.convolutional.Cropping2D;
import org.deeplearning4j.nn.conf.layers.convolutional.Cropping3D;
import org.deeplearning4j.nn.conf.layers.misc.ElementWiseMultiplicationLayer;
import org.deeplearning4j.nn.conf.layers.misc.FrozenLayer;
import org.deeplearning4j.nn.conf.layers.misc.FrozenLayerWithBackprop;
import org.deeplearning4j.nn.conf.layers.misc.RepeatVector;
import org.deeplearning4j.nn.conf.layers.objdetect.Yolo2OutputLayer;
import org.deeplearning4j.nn.conf.layers.util.MaskLayer;
import org.deeplearning4j.nn.conf.layers.recurrent.Bidirectional;
import org.deeplearning4j.nn.conf.layers.wrapper.BaseWrapperLayer;
import org.deeplearning4j.nn.conf.ocnn.OCNNOutputLayer;
import org.junit.jupiter.api.Test;
import org.nd4j.linalg.lossfunctions.LossFunctions.LossFunction;

import java.io.IOException;
import java.lang.reflect.Modifier;
import java.nio.file.Path;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.jar.JarFile;
import java.util.stream.Collectors;

import static java.util.stream.Collectors.toSet;
import static org.assertj.core.api.Assertions.assertThat;

/** No layer of DL4J's with weights is left that is neither adapted nor refused with a reason. */
class StockMatricesTest {

    /** Adapted through layers of their own, each with tests of its own. */
    private static final Set<Class<?>> DENSE = Set.of(DenseLayer.class, OutputLayer.class, RnnOutputLayer.class);

    private static final Map<Layer, String> REFUSED = Map.of(
            new BatchNormalization.Builder().nIn(3).nOut(3).build(), "its parameters are vectors",
            new PReLULayer.Builder().inputShape(3).nIn(3).nOut(3).build(), "its slopes are not a matrix",
            new ElementWiseMultiplicationLayer.Builder().nIn(3).nOut(3).build(), "its weights are a vector",
            new OCNNOutputLayer.Builder().nIn(3).hiddenLayerSize(2).nu(0.1).build(), "it sets its own parameter r",
            new LearnedSelfAttentionLayer.Builder().nIn(4).nOut(4).nHeads(1).nQueries(2).projectInput(true).build(),
            "its own forward pass fails");

    private static final Set<Class<?>> WITHOUT_PARAMETERS = Set.of(ActivationLayer.class, CapsuleStrengthLayer.class,
            Cnn3DLossLayer.class, CnnLossLayer.class, Cropping1D.class, Cropping2D.class, Cropping3D.class, DropoutLayer.class,
            GlobalPoolingLayer.class, LocalResponseNormalization.class, LossLayer.class, MaskLayer.class, Pooling1D.class,
            Pooling2D.class,
            RepeatVector.class, RnnLossLayer.class, SpaceToBatchLayer.class, SpaceToDepthLayer.class, Subsampling1DLayer.class,
            Subsampling3DLayer.class, SubsamplingLayer.class, Upsampling1D.class, Upsampling2D.class, Upsampling3D.class,
            Yolo2OutputLayer.class, ZeroPadding1DLayer.class, ZeroPadding3DLayer.class, ZeroPaddingLayer.class);

    /** Other names of ConvolutionLayer and Convolution1DLayer, whose builders make these. */
    private static final Set<Class<?>> ALIASES = Set.of(Convolution1D.class, Convolution2D.class);

    /** Taken off before anything is decided. */
    private static final Set<Class<?>> FREEZING = Set.of(FrozenLayer.class, FrozenLayerWithBackprop.class);

    @Test
    void everyLayerOfDl4jIsAdaptedOrRefused() throws IOException {
        Set<Class<?>> adapted = new HashSet<>(DENSE);
        DeltaLayersTest.layers().forEach(arguments -> ((org.deeplearning4j.nn.conf.MultiLayerConfiguration) arguments.get()[3])
                .getConfs()
                .forEach(conf -> addWithInner(conf.getLayer(), adapted)));
        adapted.removeAll(WITHOUT_PARAMETERS);
        Set<Class<?>> refused = REFUSED.keySet().stream().map(Object::getClass).collect(toSet());

        Set<Class<?>> known = new HashSet<>(adapted);
        known.addAll(refused);
        known.addAll(WITHOUT_PARAMETERS);
        known.addAll(FREEZING);
        known.addAll(ALIASES);
        assertThat(known).containsExactlyInAnyOrderElementsOf(concrete(Layer.class));
        assertThat(adapted).doesNotContainAnyElementsOf(refused);
    }

    private static void addWithInner(Layer layer, Set<Class<?>> types) {
        types.add(layer.getClass());
        if (layer instanceof BaseWrapperLayer wrapper) {
            addWithInner(wrapper.getUnderlying(), types);
        } else if (layer instanceof Bidirectional both) {
            addWithInner(both.getFwd(), types);
        }
    }

    @Test
    void everyTestedLayerTellsWhatItsMatricesAre() {
        DeltaLayersTest.layers().forEach(arguments -> ((org.deeplearning4j.nn.conf.MultiLayerConfiguration) arguments.get()[3])
                .getConfs()
                .stream().map(org.deeplearning4j.nn.conf.NeuralNetConfiguration::getLayer)
                .filter(layer -> layer.getLayerName().startsWith("lora")).forEach(layer -> {
                    StockMatrices matrices = StockMatrices.of(layer);
                    assertThat(matrices.refusal()).as("%s", layer).isNull();
                    assertThat(matrices.type()).isNotNull();
                    assertThat(layer.initializer().paramKeys(layer)).containsAll(matrices.forms().keySet());
                }));
    }

    @Test
    void everyRefusedLayerSaysWhy() {
        REFUSED.forEach((layer, reason) -> {
            assertThat(StockMatrices.of(layer).refusal()).as("%s", layer).contains(reason);
            assertThat(StockMatrices.of(layer).forms()).isEmpty();
        });
        assertThat(StockMatrices.of(new LossLayer.Builder(LossFunction.MSE).build()).refusal()).isEqualTo("it has no parameters");
        assertThat(StockMatrices.of(new OwnLayer()).refusal()).contains("what it computes is unknown");
        assertThat(StockMatrices.of(new Bidirectional(new OwnLstm())).refusal()).contains("what it computes is unknown");
        assertThat(StockMatrices.of(new SelfAttentionLayer.Builder().nIn(4).nOut(4).nHeads(1).projectInput(false)
                .build()).refusal())
                .isEqualTo("it has no parameters");
    }

    /** A user's layers: a subclass may compute something else than what it inherits. */
    private static final class OwnLayer extends DenseLayer {

        private static final long serialVersionUID = 1L;

        OwnLayer() {
            setNIn(3);
            setNOut(2);
        }
    }

    private static final class OwnLstm extends LSTM {

        private static final long serialVersionUID = 1L;

        OwnLstm() {
            setNIn(3);
            setNOut(2);
        }
    }

    @Test
    void attentionIsTheOnlyVertexWithParameters() throws IOException {
        List<Class<?>> withParameters = List.copyOf(concrete(GraphVertex.class)).stream().filter(type -> Set.of("AttentionVertex",
                "LayerVertex", "FrozenVertex").contains(type.getSimpleName())).collect(Collectors.toList());
        assertThat(withParameters).as("those that have parameters, or hold something that has").hasSize(3);
        for (Class<?> type : concrete(GraphVertex.class)) {
            if (!withParameters.contains(type) && hasDefaultConstructor(type)) {
                assertThat(instance(type).numParams(true)).as(type.getName()).isZero();
            }
        }
        assertThat(StockMatrices.of(new MergeVertex()).refusal()).isEqualTo("it has no parameters");
        assertThat(StockMatrices.of(attention(true)).forms()).containsOnlyKeys("Wq", "Wk", "Wv", "Wo");
        assertThat(StockMatrices.of(attention(false)).refusal()).contains("projectInput is false");
    }

    private static AttentionVertex attention(boolean project) {
        return new AttentionVertex.Builder().nInKeys(4).nInQueries(4).nInValues(4).nOut(4).nHeads(project ? 2 : 1)
                .projectInput(project)
                .build();
    }

    private static boolean hasDefaultConstructor(Class<?> type) {
        return java.util.Arrays.stream(type.getDeclaredConstructors())
                .anyMatch(constructor -> constructor.getParameterCount() == 0);
    }

    private static GraphVertex instance(Class<?> type) {
        try {
            var constructor = type.getDeclaredConstructor();
            constructor.setAccessible(true);
            return (GraphVertex) constructor.newInstance();
        } catch (ReflectiveOperationException e) {
            throw new AssertionError(type.getName(), e);
        }
    }

    /** All classes of DL4J that can be instances of a type of configuration. */
    private static Set<Class<?>> concrete(Class<?> type) throws IOException {
        Path jar = Path.of(Layer.class.getProtectionDomain().getCodeSource().getLocation().getPath());
        Set<Class<?>> found = new HashSet<>();
        try (JarFile file = new JarFile(jar.toFile())) {
            file.stream().map(entry -> entry.getName())
                    .filter(name -> name.startsWith("org/deeplearning4j/nn/conf/") && name.endsWith(".class"))
                    .map(name -> load(name.substring(0, name.length() - ".class".length()).replace('/', '.')))
                    .filter(loaded -> type.isAssignableFrom(loaded) && !Modifier.isAbstract(loaded.getModifiers()))
                    .forEach(found::add);
        }
        assertThat(found).as("configurations found in " + jar).isNotEmpty();
        return found;
    }

    private static Class<?> load(String name) {
        try {
            return Class.forName(name, false, Layer.class.getClassLoader());
        } catch (ClassNotFoundException e) {
            throw new AssertionError(name, e);
        }
    }
}
