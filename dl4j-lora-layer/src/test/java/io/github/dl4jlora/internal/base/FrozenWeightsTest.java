package io.github.dl4jlora.internal.base;

import io.github.dl4jlora.LoRA;
import io.github.dl4jlora.Networks;
import io.github.dl4jlora.conf.LoRAConfig;
import io.github.dl4jlora.internal.network.BaseValues;
import org.deeplearning4j.nn.conf.NeuralNetConfiguration;
import org.deeplearning4j.nn.conf.layers.LSTM;
import org.deeplearning4j.nn.conf.layers.RnnOutputLayer;
import org.deeplearning4j.nn.graph.ComputationGraph;
import org.deeplearning4j.nn.multilayer.MultiLayerNetwork;
import org.junit.jupiter.api.Test;
import org.nd4j.linalg.api.buffer.DataBuffer;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.factory.Nd4j;
import org.nd4j.linalg.indexing.NDArrayIndex;
import org.nd4j.linalg.lossfunctions.LossFunctions;

import java.lang.ref.WeakReference;
import java.util.List;
import java.util.Map;
import java.util.Random;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
import static org.assertj.core.api.Assertions.assertThatIllegalStateException;

/** Frozen weights are named by what they are, and found while somebody holds them. */
class FrozenWeightsTest {

    @Test
    void equalContentHasOneIdWhereverItLies() {
        INDArray values = Networks.random(DataType.FLOAT, 1, 12);
        INDArray larger = Nd4j.concat(0, Networks.random(DataType.FLOAT, 2, 5), values, Networks.random(DataType.FLOAT, 3, 5));
        String id = id(values, 3, 4);

        assertThat(id).matches("[0-9a-f]{64}");
        assertThat(id(values.dup(), 3, 4)).isEqualTo(id);
        assertThat(id(values.reshape(1, 12), 3, 4)).as("as a row").isEqualTo(id);
        assertThat(id(larger.get(NDArrayIndex.interval(5, 17)), 3, 4)).as("a view").isEqualTo(id);
        INDArray columns = Nd4j.hstack(values.reshape(12, 1), values.neg().reshape(12, 1)).dup('f');
        assertThat(id(columns.get(NDArrayIndex.all(), NDArrayIndex.point(0)), 3, 4)).as("a column in 'f' order").isEqualTo(id);
        assertThat(id(Nd4j.vstack(values, values.neg()).get(NDArrayIndex.point(0), NDArrayIndex.all()), 3, 4))
                .as("a row of a matrix").isEqualTo(id);
        INDArray strided = Nd4j.stack(1, values, values.neg()).get(NDArrayIndex.all(), NDArrayIndex.point(0));
        assertThat(id(strided, 3, 4)).as("a strided view").isEqualTo(id);
    }

    @Test
    void otherValuesShapesTypesAndNamesHaveOtherIds() {
        INDArray values = Networks.random(DataType.FLOAT, 1, 12);
        String id = id(values, 3, 4);
        INDArray changed = values.dup();
        changed.putScalar(11, Math.nextUp(values.getFloat(11)));

        assertThat(id(changed, 3, 4)).as("one bit").isNotEqualTo(id);
        assertThat(id(values, 4, 3)).as("shape").isNotEqualTo(id);
        assertThat(id(values.castTo(DataType.DOUBLE), 3, 4)).as("type").isNotEqualTo(id);
        assertThat(FrozenWeights.of(values, Map.of("V", values.reshape(3, 4))).id()).as("name").isNotEqualTo(id);
    }

    /** More values than are hashed in one piece. */
    @Test
    void lastValueOfManyCounts() {
        INDArray values = Nd4j.zeros(DataType.FLOAT, (1 << 20) + 3);
        String id = id(values, 1, values.length());

        values.putScalar(values.length() - 1, 1);

        assertThat(id(values, 1, values.length())).isNotEqualTo(id);
    }

    @Test
    void signatureIsReadable() {
        ComputationGraph base = Networks.trainedGraph();

        assertThat(FrozenWeights.of(base.getLayer("fc1").params(), base.getLayer("fc1").paramTable(false)).signature())
                .startsWith("FLOAT W[6,5] b[");
    }

    @Test
    void weightsAreFoundWhileSomebodyHoldsThemAndNotWhenTheyHaveMoved() {
        INDArray values = Networks.random(DataType.FLOAT, 41, 12);
        FrozenWeights weights = FrozenWeights.of(values, Map.of("W", values.reshape(3, 4)));
        assertThat(FrozenWeightsRegistry.find(weights.id())).containsSame(weights);

        values.putScalar(3, 7);

        assertThat(FrozenWeightsRegistry.find(weights.id())).isEmpty();
    }

    @Test
    void anotherHolderOfTheSameContentStepsIn() {
        INDArray values = Networks.random(DataType.FLOAT, 42, 12);
        FrozenWeights first = FrozenWeights.of(values, Map.of("W", values.reshape(3, 4)));
        FrozenWeights copy = first.copied("fc");

        values.putScalar(3, 7);

        assertThat(FrozenWeightsRegistry.find(first.id())).containsSame(copy);
    }

    @Test
    void registryHoldsNothingAlive() throws InterruptedException {
        String id = id(Networks.random(DataType.FLOAT, new Random(43).nextLong(), 12), 3, 4);

        // The collector may take more than one round; it has to get there in the end.
        for (int i = 0; i < 200 && FrozenWeightsRegistry.find(id).isPresent(); i++) {
            System.gc();
            Thread.sleep(10);
        }

        assertThat(FrozenWeightsRegistry.find(id)).isEmpty();
    }

    @Test
    void aCastIsSharedByAllWhoHoldIt() {
        INDArray values = Networks.random(DataType.FLOAT, 1, 12);
        FrozenWeights weights = FrozenWeights.of(values, Map.of("W", values.reshape(3, 4)));

        INDArray cast = weights.valuesAs(DataType.DOUBLE);

        assertThat(cast.dataType()).isEqualTo(DataType.DOUBLE);
        assertThat(cast.castTo(DataType.FLOAT)).isEqualTo(values);
        assertThat(weights.valuesAs(DataType.DOUBLE)).isEqualTo(cast)
                .satisfies(again -> assertThat(again.data()).isSameAs(cast.data()));
        assertThat(weights.valuesAs(DataType.FLOAT)).isSameAs(weights.values());
    }

    /** A layer may keep no more of it than a view. */
    @Test
    void aCastStaysWhileAViewOfItDoesAndGoesWithTheLast() throws InterruptedException {
        INDArray values = Networks.random(DataType.FLOAT, 1, 12);
        FrozenWeights weights = FrozenWeights.of(values, Map.of("W", values.reshape(3, 4)));
        INDArray view = weights.valuesAs(DataType.DOUBLE).get(NDArrayIndex.interval(4, 8)).reshape(2, 2);
        INDArray half = weights.valuesAs(DataType.HALF);
        System.gc();

        assertThat(weights.valuesAs(DataType.DOUBLE).data()).isSameAs(view.data().originalDataBuffer());
        assertThat(weights.valuesAs(DataType.HALF).data()).as("one type does not drive out the other").isSameAs(half.data());

        WeakReference<DataBuffer> buffer = new WeakReference<>(weights.valuesAs(DataType.BFLOAT16).data());
        for (int i = 0; i < 200 && buffer.get() != null; i++) {
            System.gc();
            Thread.sleep(10);
        }
        assertThat(buffer.get()).isNull();
        assertThat(weights.valuesAs(DataType.BFLOAT16)).isEqualTo(values.castTo(DataType.BFLOAT16));
    }

    @Test
    void aCastThatSomebodyClosedIsMadeAnew() {
        INDArray values = Networks.random(DataType.FLOAT, 1, 12);
        FrozenWeights weights = FrozenWeights.of(values, Map.of("W", values.reshape(3, 4)));
        INDArray closed = weights.valuesAs(DataType.DOUBLE);

        closed.close();

        assertThat(weights.valuesAs(DataType.DOUBLE)).isEqualTo(values.castTo(DataType.DOUBLE));
    }

    /** One layer runs on effective weights, of which it has a copy of its own, one on frozen ones. */
    @Test
    void aCastStaysWhileAConvertedNetworkDoesAndGoesWithIt() throws InterruptedException {
        MultiLayerNetwork base = Networks.of(new NeuralNetConfiguration.Builder().seed(3).list()
                .layer(new LSTM.Builder().name("lstm").nIn(4).nOut(5).build())
                .layer(new RnnOutputLayer.Builder(LossFunctions.LossFunction.MSE).name("out").nIn(5).nOut(2).build()).build());
        MultiLayerNetwork tuned = LoRA.apply(base, LoRAConfig.builder().rank(2).targets("lstm").build());
        MultiLayerNetwork converted = tuned.convertDataType(DataType.DOUBLE);
        INDArray input = Networks.random(DataType.DOUBLE, 1, 3, 4, 6);
        INDArray output = converted.output(input);
        List<WeakReference<DataBuffer>> casts = BaseValues.verified(tuned).values().stream()
                .map(weights -> new WeakReference<>(weights.valuesAs(DataType.DOUBLE).data())).toList();
        System.gc();

        assertThat(casts).hasSize(2).noneMatch(cast -> cast.get() == null);
        assertThat(converted.output(input)).isEqualTo(output);

        converted = null;
        for (int i = 0; i < 200 && casts.stream().anyMatch(cast -> cast.get() != null); i++) {
            System.gc();
            Thread.sleep(10);
        }
        assertThat(casts).allMatch(cast -> cast.get() == null);
    }

    /** What a network trains and closes is copied once; the copy, like what a file held, is nobody's to change. */
    @Test
    void theCopyIsSharedByAllWhoWantOne() {
        INDArray values = Networks.random(DataType.FLOAT, 44, 12);
        FrozenWeights lent = FrozenWeights.of(values, Map.of("W", values.reshape(3, 4)));

        FrozenWeights copy = lent.copied("fc");

        assertThat(copy.values().data()).isNotSameAs(values.data());
        assertThat(lent.copied("fc")).isSameAs(copy).isSameAs(copy.copied("fc"));
        assertThat(FrozenWeights.read(values.dup(), lent.signature(), lent.id())).as("a file's").isSameAs(copy);
        assertThat(FrozenWeightsRegistry.find(lent.id())).containsSame(copy);
    }

    @Test
    void aCopyOfWhatHasMovedIsRefused() {
        INDArray values = Networks.random(DataType.FLOAT, 45, 12);
        FrozenWeights lent = FrozenWeights.of(values, Map.of("W", values.reshape(3, 4)));
        values.putScalar(3, 7);

        assertThatIllegalStateException().isThrownBy(() -> lent.copied("fc"))
                .withMessageContainingAll("Layer \"fc\"", "have changed");
    }

    @Test
    void anOwnCopyThatSomebodyChangedAllTheSameIsNotSharedAnyMore() {
        INDArray values = Networks.random(DataType.FLOAT, 46, 12);
        FrozenWeights lent = FrozenWeights.of(values, Map.of("W", values.reshape(3, 4)));
        FrozenWeights spoilt = lent.copied("fc");
        spoilt.values().putScalar(3, 7);

        assertThat(lent.copied("fc")).isNotSameAs(spoilt).extracting(FrozenWeights::values).isEqualTo(values);
    }

    @Test
    void whatIsReadAndNotKeptIsGivenBackAtOnce() {
        INDArray values = Networks.random(DataType.FLOAT, 47, 12);
        FrozenWeights original = FrozenWeights.unregisteredOwn(values, Map.of("W", values.reshape(3, 4)));
        INDArray damaged = values.dup();
        INDArray first = values.dup();
        INDArray second = values.dup();

        assertThatIllegalArgumentException().isThrownBy(() -> FrozenWeights.read(damaged, original.signature(), "f".repeat(64)))
                .withMessageContaining("hash to " + original.id());
        FrozenWeights kept = FrozenWeights.read(first, original.signature(), original.id());

        assertThat(FrozenWeights.read(second, original.signature(), original.id())).isSameAs(kept);
        assertThat(damaged.wasClosed()).isTrue();
        assertThat(second.wasClosed()).isTrue();
        assertThat(first.wasClosed()).isFalse();
        assertThat(kept.values()).isEqualTo(values);
    }

    @Test
    void whatWasClosedIsNeitherCopiedNorVerified() {
        INDArray values = Networks.random(DataType.FLOAT, 48, 12);
        FrozenWeights lent = FrozenWeights.of(values, Map.of("W", values.reshape(3, 4)));
        values.close();

        assertThatIllegalStateException().isThrownBy(() -> lent.copied("fc"))
                .withMessageContainingAll("Layer \"fc\"", "the base network's weights were closed");
        assertThatIllegalStateException().isThrownBy(() -> lent.verify("fc"))
                .withMessageContaining("the base network's weights were closed");
    }

    private static String id(INDArray values, long rows, long columns) {
        return FrozenWeights.of(values, Map.of("W", Nd4j.create(DataType.FLOAT, rows, columns))).id();
    }
}
