package io.github.dl4jlora.evidence;

import io.github.dl4jlora.evidence.Finding.Interval;
import io.github.dl4jlora.examples.Spread;
import org.junit.jupiter.api.Test;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

class FiguresTest {

    @Test
    void aSpreadIsMeanAndDeviationOfASample() {
        Spread spread = Spread.of(1, 2, 3);
        assertThat(spread.mean()).isEqualTo(2);
        assertThat(spread.deviation()).isEqualTo(1);
        assertThat(spread.toString(1)).isEqualTo("2.0 ± 1.0");
        assertThat(Spread.of(5).toString(2)).isEqualTo("5.00");
        assertThat(Spread.of(1, Double.NaN).toString(1)).isEqualTo("diverged");
    }

    @Test
    void stepsToALossAreCountedToTheEndOfTheFirstWindowThatIsLowEnough() {
        Trained trained = new Trained(0, 0, 0, new double[] {5, 4, 3, 2, 1, 0});
        assertThat(trained.stepsTo(3.5, 2)).isEqualTo(3);
        assertThat(trained.stepsTo(0.5, 2)).isEqualTo(6);
        assertThat(trained.stepsTo(0.4, 2)).isEqualTo(-1);
        assertThat(trained.loss(0, 3)).isEqualTo(4, within(1e-12));
        assertThat(trained.lastLoss()).isZero();
    }

    @Test
    void aTrainingThatDivergedHasAnInfiniteLoss() {
        assertThat(new Trained(0, 0, 0, new double[] {1, Double.NaN}).lastLoss()).isEqualTo(Double.POSITIVE_INFINITY);
    }

    @Test
    void aFigureOutsideItsIntervalBreaksAPageUnlessItIsKnownToDiffer() {
        Page page = new Page(false);
        page.add(new NoClaim(), new Finding().check("inside", "", 1, 0, 1).check("elsewhere", "", 2, new Interval(0, 1),
                new Interval(1, 3)), 0);
        assertThat(page.broken()).isZero();
        page.add(new NoClaim(), new Finding().check("outside", "", 1.1, 0, 1), 0);
        assertThat(page.broken()).isEqualTo(1);
        page.add(new NoClaim(), new Finding().check("elsewhere than known", "", 4, new Interval(0, 1), new Interval(1, 3)), 0);
        assertThat(page.broken()).isEqualTo(2);
        page.add(new NoClaim(), new Finding().check("no figure", "", Double.NaN, 0, 1), 0);
        assertThat(page.broken()).isEqualTo(3);
    }

    @Test
    void theShortFormJudgesNothing() {
        Page page = new Page(true);
        page.add(new NoClaim(), new Finding().check("outside", "", 2, 0, 1), 0);
        assertThat(page.broken()).isZero();
    }

    @Test
    void anIntervalIsSaidInWords() {
        Finding finding = new Finding().check("", "", 1, 0, 2).check("", "", 1, 0.5, Double.POSITIVE_INFINITY)
                .check("", "", 1, 0.25, 4).check("", "", 1, -10, Double.POSITIVE_INFINITY);
        assertThat(finding.checks()).extracting(check -> check.here().toString()).containsExactly("at most 2.00", "at least "
                + "0.500",
                "0.250 to 4.00", "at least -10.0");
    }

    private static final class NoClaim implements Claim {

        @Override
        public Statement statement() {
            return new Statement("none", "Nothing", new Source("Nobody", ""), "");
        }

        @Override
        public Finding examine(Lab lab) {
            throw new UnsupportedOperationException();
        }
    }
}
